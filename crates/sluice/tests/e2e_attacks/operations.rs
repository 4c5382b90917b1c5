//! Configuration as a weapon (OP-).

use std::fs;

use anyhow::Result;
use testkit::demo::site::{AUDITOR, ORDER_SERVICE, Tuning};

use crate::support::admin::call;
use crate::support::{assert_refused, prepare, rows, site};

#[test]
fn op_01_an_invalid_configuration_does_not_listen() -> Result<()> {
    for (name, text) in [
        ("sluice.toml", "data_dir = 7\n"),
        ("revision/targets.toml", "[payments]\nprotocol = \"telepathy\"\n"),
        ("revision/classification.toml", "[[column]]\nmatch = \"x\"\n"),
        ("revision/policies/10-access.cedar", "permit (principal, acton, resource);\n"),
        ("payments.password", ""),
    ] {
        let mut site = prepare("boot", Tuning::default())?;
        fs::write(site.home().join(name), text)?;
        if name == "payments.password" {
            // A credential that cannot be had is no mistake of the configuration: it shows when it is used.
            continue;
        }
        assert!(site.start().is_err(), "{name}");
        assert!(!site.data().join("addresses.json").exists(), "{name}: it listened");
    }
    Ok(())
}

#[test]
fn op_01_an_invalid_reload_keeps_the_old_one_and_both_are_journaled() -> Result<()> {
    let site = site("reload", Tuning::default())?;
    let token = site.token(&ORDER_SERVICE)?;
    let before = site.revision()?;
    fs::write(
        site.revision_file("policies/60-broken.cedar"),
        "permit (principal, action, resource) when { nonsense };\n",
    )?;
    site.wait_for_metric("sluice_revisions_refused_total", 1)?;
    assert_eq!(site.revision()?, before);
    assert_eq!(rows(&site, &token, "SELECT count(*) > 0 FROM orders")?, "t");
    assert_refused(&site, &token, "DELETE FROM orders WHERE id = 1", "42501");
    fs::write(
        site.revision_file("policies/60-broken.cedar"),
        "@id(\"x\") permit (principal in Group::\"x\", action == Action::\"connect\", resource);\n",
    )?;
    testkit::wait::eventually_blocking(crate::support::LIMIT, "the mended revision", || {
        Ok((site.revision()? > before).then_some(()))
    })?;
    let (status, events) = call(&site, &site.token(&AUDITOR)?, "GET", "/v1/audit/events", None)?;
    assert_eq!(status, 200, "{events}");
    let text = events.to_string();
    assert!(text.contains("revision_refused") && text.contains("60-broken.cedar:1"), "{text}");
    assert!(text.contains("revision_applied"), "{text}");
    Ok(())
}

#[test]
fn op_02_a_half_written_file_is_never_in_force() -> Result<()> {
    let site = site("halves", Tuning::default())?;
    let token = site.token(&ORDER_SERVICE)?;
    let path = site.revision_file("policies/10-access.cedar");
    let whole = fs::read_to_string(&path)?;
    for cut in [1, whole.len() / 3, whole.len() / 2, whole.len() - 2] {
        fs::write(&path, whole.get(..cut).unwrap_or_default())?;
        // Cut between policies it is a revision of its own; cut inside one it is refused. Never is more permitted.
        assert_refused(&site, &token, "DROP TABLE orders", "42501");
        fs::write(&path, &whole)?;
    }
    testkit::wait::eventually_blocking(crate::support::LIMIT, "the whole file to be in force", || {
        Ok(rows(&site, &token, "SELECT count(*) > 0 FROM orders").ok().filter(|row| row == "t").map(drop))
    })
}
