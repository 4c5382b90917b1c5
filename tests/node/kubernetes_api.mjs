// A Kubernetes API server in memory, as far as its clients and Sluice's tests need one: discovery, objects with watches, tables,
// dry runs and the four patches, logs. It believes one bearer token, and writes down what reaches it.
//
//   node kubernetes_api.mjs LOG BEARER-FILE

import { createHash } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";

const [log, bearerFile] = process.argv.slice(2);

const GROUPS = {
  "": {
    version: "v1",
    resources: [
      ["pods", "Pod", true, ["po"]],
      ["pods/log", "Pod", true],
      ["secrets", "Secret", true],
      ["configmaps", "ConfigMap", true, ["cm"]],
      ["services", "Service", true, ["svc"]],
      ["serviceaccounts", "ServiceAccount", true, ["sa"]],
      ["namespaces", "Namespace", false, ["ns"]],
      ["nodes", "Node", false, ["no"]],
    ],
  },
  apps: { version: "v1", resources: [["deployments", "Deployment", true, ["deploy"]], ["deployments/scale", "Scale", true]] },
  "rbac.authorization.k8s.io": {
    version: "v1",
    resources: [
      ["roles", "Role", true],
      ["rolebindings", "RoleBinding", true],
      ["clusterroles", "ClusterRole", false],
      ["clusterrolebindings", "ClusterRoleBinding", false],
    ],
  },
  "authorization.k8s.io": { version: "v1", resources: [["selfsubjectaccessreviews", "SelfSubjectAccessReview", false]] },
};
const VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

let revision = 100;
const stores = new Map();
const watchers = new Set();

const storeOf = (group, resource) => {
  const key = `${group}/${resource}`;
  if (!stores.has(key)) stores.set(key, new Map());
  return stores.get(key);
};

const apiVersion = (group) => (group ? `${group}/${GROUPS[group].version}` : GROUPS[group].version);
const known = (group, resource) => GROUPS[group]?.resources.find(([name]) => name === resource);

class Refused extends Error {
  constructor(code, reason, message) {
    super(message);
    Object.assign(this, { code, reason });
  }
}

const status = (code, reason, message) => ({
  kind: "Status", apiVersion: "v1", metadata: {}, status: code < 300 ? "Success" : "Failure", message, reason, code,
});

const resourceList = (group) => ({
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: apiVersion(group),
  resources: GROUPS[group].resources.map(([name, kind, namespaced, shortNames]) => ({
    name, kind, namespaced, singularName: kind.toLowerCase(), shortNames,
    ...(kind === "Scale" ? { group: "autoscaling", version: "v1" } : {}),
    verbs: name.includes("/") ? ["get", "patch", "update"] : VERBS,
  })),
});

function discovery(path) {
  const version = (group) => ({ groupVersion: apiVersion(group), version: GROUPS[group].version });
  if (path === "/version") {
    return { major: "1", minor: "34", gitVersion: "v1.34.0-sluice-test", platform: "linux/amd64" };
  }
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
  if (path === "/apis") {
    const groups = Object.keys(GROUPS).filter((group) => group);
    return {
      kind: "APIGroupList",
      apiVersion: "v1",
      groups: groups.map((name) => ({ name, versions: [version(name)], preferredVersion: version(name) })),
    };
  }
  if (path === "/api/v1") return resourceList("");
  const group = path.match(/^\/apis\/([^/]+)\/v1$/)?.[1];
  if (group && GROUPS[group]) return resourceList(group);
  return undefined;
}

const matches = (object, query) => {
  const labels = (query.get("labelSelector") ?? "").split(",").filter(Boolean);
  const fields = (query.get("fieldSelector") ?? "").split(",").filter(Boolean);
  const value = { "metadata.name": object.metadata.name, "metadata.namespace": object.metadata.namespace };
  return (
    labels.every((pair) => object.metadata.labels?.[pair.split("=")[0]] === pair.split(/==?/)[1]) &&
    fields.every((pair) => value[pair.split("=")[0]] === pair.split(/==?/)[1])
  );
};

const columns = [
  { name: "Name", type: "string", format: "name", description: "", priority: 0 },
  { name: "Data", type: "string", format: "", description: "", priority: 0 },
];

const table = (items, query, extra) => ({
  kind: "Table",
  apiVersion: "meta.k8s.io/v1",
  metadata: { resourceVersion: `${revision}` },
  columnDefinitions: columns,
  ...extra,
  rows: items.map((object) => ({
    cells: [object.metadata.name, `${Object.keys(object.data ?? {}).length}`],
    object:
      query.get("includeObject") === "Object"
        ? object
        : { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata },
  })),
});

const scale = ({ metadata, spec }) => ({
  kind: "Scale", apiVersion: "autoscaling/v1", metadata, spec: { replicas: spec.replicas }, status: { replicas: spec.replicas },
});

function merged(target, patch) {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const out = target && typeof target === "object" && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete out[name];
    else out[name] = merged(out[name], value);
  }
  return out;
}

function patchedByOperations(object, operations) {
  const out = structuredClone(object);
  for (const { op, path, value } of operations) {
    const names = path.split("/").slice(1).map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = names.pop();
    const holder = names.reduce((inner, name) => (inner[name] ??= {}), out);
    if (op === "remove") delete holder[last];
    else if (op === "test") continue;
    else holder[last] = value;
  }
  return out;
}

function stored(group, kind, namespace, object) {
  if (object.stringData) {
    object.data ??= {};
    for (const [name, value] of Object.entries(object.stringData)) object.data[name] = Buffer.from(value).toString("base64");
    delete object.stringData;
  }
  revision += 1;
  object.kind = kind;
  object.apiVersion = apiVersion(group);
  object.metadata = {
    uid: `uid-${revision}`, creationTimestamp: "2026-01-01T00:00:00Z", ...object.metadata, resourceVersion: `${revision}`,
  };
  if (namespace) object.metadata.namespace = namespace;
  return object;
}

function tell(group, resource, type, object) {
  for (const watcher of watchers) watcher(group, resource, type, object);
}

function seed() {
  const put = (group, resource, namespace, object) => {
    const [, kind] = known(group, resource);
    storeOf(group, resource).set(`${namespace}/${object.metadata.name}`, stored(group, kind, namespace, object));
  };
  for (const name of ["default", "dev", "prod"]) put("", "namespaces", "", { metadata: { name } });
  put("", "nodes", "", { metadata: { name: "node-1" } });
  for (const namespace of ["dev", "prod"]) {
    for (const name of ["web", "db"]) {
      const env = [{ name: "CARD", value: "4111111111111111" }, { name: "MODE", value: "fast" }];
      const spec = { containers: [{ name: "app", image: "registry.example/app:1", env }] };
      put("", "pods", namespace, { metadata: { name, labels: { app: name } }, spec, status: { phase: "Running" } });
    }
    put("", "configmaps", namespace, { metadata: { name: "settings" }, data: { card: "4111 1111 1111 1111", mode: "fast" } });
    const data = { password: Buffer.from(`canary-${namespace}-password`).toString("base64") };
    const manifest = JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name: "db" }, data });
    const annotations = { "kubectl.kubernetes.io/last-applied-configuration": manifest };
    put("", "secrets", namespace, { metadata: { name: "db", annotations }, type: "Opaque", data });
    put("apps", "deployments", namespace, { metadata: { name: "web" }, spec: { replicas: 2 } });
  }
}

/** The parts of a path of a resource. */
function parse(path) {
  const names = path.split("/").filter(Boolean);
  const group = names[0] === "apis" ? names[1] : "";
  const rest = names.slice(names[0] === "apis" ? 3 : 2);
  let namespace = "";
  if (rest[0] === "namespaces" && rest.length > 2) [, namespace] = rest.splice(0, 2);
  const [resource, name, subresource, ...behind] = rest;
  return { group, namespace, resource, name, subresource, behind };
}

const answer = (response, code, object, media = "application/json") => {
  const text = JSON.stringify(object);
  response.writeHead(code, { "content-type": media, "cache-control": "no-cache, private" });
  response.end(`${text}\n`);
};

function watch(request, response, at, query, asTable) {
  const media = asTable ? "application/json" : "application/json;stream=watch";
  response.writeHead(200, { "content-type": media });
  const send = (group, resource, type, object) => {
    const isIt = group === at.group && resource === at.resource && matches(object, query);
    if (!isIt || (at.namespace && object.metadata.namespace !== at.namespace)) return;
    if (at.name && object.metadata.name !== at.name) return;
    const shown = asTable ? table([object], query) : object;
    response.write(`${JSON.stringify({ type, object: shown })}\n`);
  };
  if (["", "0", null].includes(query.get("resourceVersion"))) {
    for (const object of storeOf(at.group, at.resource).values()) send(at.group, at.resource, "ADDED", object);
  }
  watchers.add(send);
  const seconds = Number(query.get("timeoutSeconds") ?? 300);
  const timer = setTimeout(() => response.end(), seconds * 1000);
  request.socket.on("close", () => {
    clearTimeout(timer);
    watchers.delete(send);
  });
}

function logs(response, at, query) {
  const pod = storeOf("", "pods").get(`${at.namespace}/${at.name}`);
  if (!pod) throw new Refused(404, "NotFound", `pods "${at.name}" not found`);
  response.writeHead(200, { "content-type": "text/plain" });
  response.write(`starting ${at.name}\npaid with 4111 1111 1111 1111\n`);
  if (query.get("follow") !== "true") return response.end("done\n");
  const timer = setInterval(() => response.write("still running\n"), 50);
  response.on("close", () => clearInterval(timer));
}

/** Whether the first form that is asked for is one of bytes. */
const asksForBytes = (accept) => /^application\/(vnd\.kubernetes\.protobuf|cbor)/.test(accept.trim());

function serve(request, response, body) {
  const url = new URL(request.url, "http://server");
  const [query, accept] = [url.searchParams, request.headers.accept ?? ""];
  const path = url.pathname.replace(/(.)\/$/, "$1");
  if (["/healthz", "/livez", "/readyz"].includes(path)) return response.end("ok");
  if (path === "/metrics") return response.end("apiserver_request_total 1\n");
  const found = discovery(path);
  if (found) return answer(response, 200, found);
  const at = parse(path);
  if (at.subresource === "proxy") {
    response.writeHead(302, { location: "http://169.254.169.254/latest" });
    return response.end();
  }
  const kindOf = known(at.group, at.resource);
  if (!kindOf) throw new Refused(404, "NotFound", "the server could not find the requested resource");
  if (at.subresource === "log") return logs(response, at, query);
  const [, kind] = kindOf;
  if (asksForBytes(accept)) {
    response.writeHead(200, { "content-type": accept.split(",")[0] });
    return response.end(Buffer.concat([Buffer.from("k8s\0"), Buffer.from(JSON.stringify([...storeOf(at.group, at.resource).values()]))]));
  }
  const asTable = accept.includes("as=Table");
  const store = storeOf(at.group, at.resource);
  const key = `${at.namespace}/${at.name}`;
  const isDry = query.get("dryRun") === "All" || body?.dryRun?.[0] === "All";
  const object = at.name ? store.get(key) : undefined;
  const missing = () => new Refused(404, "NotFound", `${at.resource} "${at.name}" not found`);
  const put = (value, type) => {
    const name = value.metadata.name;
    const kept = stored(at.group, kind, at.namespace, value);
    if (!isDry) {
      store.set(`${at.namespace}/${name}`, kept);
      tell(at.group, at.resource, type, kept);
    }
    return kept;
  };
  switch (request.method) {
    case "GET":
    case "HEAD": {
      if (query.has("watch") && !["false", "0"].includes(query.get("watch"))) return watch(request, response, at, query, asTable);
      if (at.name) {
        if (!object) throw missing();
        if (at.subresource === "scale") return answer(response, 200, scale(object));
        return answer(response, 200, asTable ? table([object], query) : object);
      }
      const all = [...store.values()].filter((one) => !at.namespace || one.metadata.namespace === at.namespace);
      const items = all.filter((one) => matches(one, query));
      const list = { kind: `${kind}List`, apiVersion: apiVersion(at.group), metadata: { resourceVersion: `${revision}` }, items };
      return answer(response, 200, asTable ? table(items, query) : list);
    }
    case "POST": {
      if (at.resource === "selfsubjectaccessreviews") return answer(response, 201, { ...body, status: { allowed: true } });
      if (store.has(`${at.namespace}/${body.metadata.name}`)) throw new Refused(409, "AlreadyExists", "it exists");
      return answer(response, 201, put(body, "ADDED"));
    }
    case "PUT":
    case "PATCH": {
      const media = request.headers["content-type"] ?? "";
      const isApply = media.startsWith("application/apply-patch");
      if (!object && !isApply && request.method === "PATCH") throw missing();
      let next = body;
      if (request.method === "PATCH") {
        next = media.startsWith("application/json-patch") ? patchedByOperations(object, body) : merged(object ?? {}, body);
      }
      if (at.subresource === "scale") {
        next = { ...object, spec: { ...object.spec, replicas: next.spec?.replicas ?? 0 } };
        return answer(response, 200, scale(put(next, "MODIFIED")));
      }
      if (isApply) {
        next.metadata.managedFields = [
          { manager: query.get("fieldManager"), operation: "Apply", fieldsV1: { "f:data": { "f:password": {} } } },
        ];
      }
      return answer(response, object ? 200 : 201, put(next, object ? "MODIFIED" : "ADDED"));
    }
    case "DELETE": {
      if (at.name && !object) throw missing();
      const gone = at.name ? [[key, object]] : [...store].filter(([name]) => name.startsWith(`${at.namespace}/`));
      for (const [name, one] of gone) {
        if (isDry) continue;
        store.delete(name);
        tell(at.group, at.resource, "DELETED", one);
      }
      return answer(response, 200, status(200, "", ""));
    }
    default:
      throw new Refused(405, "MethodNotAllowed", "the method is not there");
  }
}

function note(request, bytes, refused) {
  const fields = [];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    fields.push([request.rawHeaders[at].toLowerCase(), request.rawHeaders[at + 1]]);
  }
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const body = bytes.subarray(0, 4096).toString("latin1");
  const line = { method: request.method, path: request.url, version: request.httpVersion, fields, bytes: bytes.length, sha256, body, refused };
  appendFileSync(log, `${JSON.stringify(line)}\n`);
}

seed();
const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const bytes = Buffer.concat(parts);
    const bearer = `Bearer ${readFileSync(bearerFile, "utf8").trim()}`;
    const refused = request.headers.authorization !== bearer;
    note(request, bytes, refused);
    if (refused) return answer(response, 401, status(401, "Unauthorized", "Unauthorized"));
    try {
      const body = bytes.length > 0 ? JSON.parse(bytes.toString()) : undefined;
      serve(request, response, body);
    } catch (error) {
      const [code, reason] = error instanceof Refused ? [error.code, error.reason] : [400, "BadRequest"];
      if (response.headersSent) response.destroy();
      else answer(response, code, status(code, reason, error.message));
    }
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
