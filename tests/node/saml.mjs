// SAML assertions by the npm package `saml`, an implementation that shares nothing with Sluice's.
//
// Standard input: a list of what `Saml20.create` takes, `key`, `cert` and `encryptionCert` as PEM.
// Standard output: the list of the assertions' XML.
import { readFileSync } from "node:fs";
import saml from "saml";

const create = (options) =>
  new Promise((resolve, reject) => {
    saml.Saml20.create(options, (error, xml) => (error ? reject(error) : resolve(xml)));
  });

const assertions = [];
for (const options of JSON.parse(readFileSync(0, "utf8"))) assertions.push(await create(options));
process.stdout.write(JSON.stringify(assertions));
