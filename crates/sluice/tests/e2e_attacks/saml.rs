//! SAML at the real program: an assertion becomes a token, by the command line, and the token a session.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use model::event::Event;
use testkit::command::Output;
use testkit::demo::site::{Site, Tuning};
use testkit::saml::{AUDIENCE, ENTITY_ID, RECIPIENT, Signer, assertions, metadata};

use crate::support::{record, rows, site};

fn exchange(site: &Site, assertion: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(site.binary());
    command.args(["token", "exchange", "--config"]).arg(site.config()).arg("--saml").arg(assertion).args(arguments);
    testkit::command::run(command, b"")
}

#[test]
fn id_21_a_saml_assertion_opens_a_session_of_its_subject_and_is_used_up() -> Result<()> {
    let (signer, folder) = (Signer::generate()?, tempfile::tempdir()?);
    std::fs::write(folder.path().join("idp.xml"), metadata(ENTITY_ID, &[&signer], ""))?;
    let sluice_toml = format!(
        "[[saml]]\nalias = \"idp\"\nentity_id = \"{ENTITY_ID}\"\nmetadata_file = \"{}\"\naudience = \"{AUDIENCE}\"\n\
         recipient = \"{RECIPIENT}\"\ngroups_attribute = \"groups\"\nbare_groups = [\"payments-apps\"]\n",
        folder.path().join("idp.xml").display()
    );
    let site = site("saml", Tuning { sluice_toml, ..Tuning::default() })?;
    let options = signer.options("order-service", &["payments-apps"]);
    let files = ["first.xml", "second.xml"].map(|name| folder.path().join(name));
    for (file, assertion) in files.iter().zip(assertions(&[options.clone(), options])?) {
        std::fs::write(file, assertion)?;
    }
    let [first, second] = files;
    let token = exchange(&site, &first, &["--target", "payments"])?.success()?;
    assert_eq!(rows(&site, token.trim(), "SELECT 1")?, "1");
    let is_it = |event: &Event| matches!(event, Event::SessionOpened { subject, .. } if subject.key.to_string() == "idp|order-service");
    record::wait_for(&site, "the session of the assertion's subject", is_it)?;
    let again = exchange(&site, &first, &[])?;
    assert!(again.stderr.contains("the identity was not accepted"), "{}", again.stderr);
    let password = exchange(&site, &second, &["--target", "payments", "--password"])?.success()?;
    assert_eq!(rows(&site, password.trim(), "SELECT 1")?, "1");
    Ok(())
}
