//! Roles of sessions that a killed Sluice leaves at its target: dropped by the next one, and nothing else is.

use std::os::unix::fs::PermissionsExt;

use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::payments;
use testkit::postgres::{Authentication, Options, Postgres};
use testkit::wait::eventually_blocking;

use crate::support::raw::Raw;
use crate::support::{LIMIT, binary};

fn roles(server: &Postgres) -> Vec<String> {
    let found = "SELECT rolname FROM pg_roles WHERE rolname ~ '^sluice_[0-9a-z]{13}$' ORDER BY 1";
    server.sql("postgres", found).unwrap().lines().map(str::to_owned).collect()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually_blocking(LIMIT, what, || Ok(is_so().then_some(()))).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sluice_leaves_roles_and_the_next_one_drops_its_own() {
    let server = Postgres::start(Options::default()).unwrap();
    let payments = payments::load(&server, 100).unwrap();
    let mut site = Site::prepare(&server, &payments, binary(), &Tuning::default()).unwrap();
    let admin = server.login("role_admin", Authentication::Scram).unwrap();
    let grant = "ALTER ROLE role_admin CREATEROLE; GRANT sluice_app, testkit_scram TO role_admin WITH ADMIN OPTION";
    server.sql("postgres", grant).unwrap();
    let file = site.home().join("admin.password");
    std::fs::write(&file, &admin.password).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = site.revision_file("targets.toml");
    let text: String = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| match line.starts_with("credential") {
            true => format!(
                "credential = {{ user = \"role_admin\", password = {{ file = \"{}\" }}, \
             ephemeral_role = {{ in_role = [\"sluice_app\", \"testkit_scram\"] }} }}\n",
                file.display()
            ),
            false => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&path, text).unwrap();
    site.start().unwrap();

    let token = site.token(&ORDER_SERVICE).unwrap();
    let _one = Raw::login(&site, &token).await.unwrap();
    let _two = Raw::login(&site, &token).await.unwrap();
    let left = roles(&server);
    assert_eq!(left.len(), 2);
    site.kill().unwrap();
    assert_eq!(roles(&server), left, "nobody was there to drop them");
    // What has such a name, and is of no session of this journal, is another one's.
    server
        .sql("postgres", "CREATE ROLE sluice_0123456789abc; GRANT sluice_0123456789abc TO role_admin WITH ADMIN OPTION")
        .unwrap();
    site.start().unwrap();
    wait_for("the leftovers to be gone", || roles(&server) == ["sluice_0123456789abc"]);
    // And a session of the new one has its own.
    let token = site.token(&ORDER_SERVICE).unwrap();
    let mut three = Raw::login(&site, &token).await.unwrap();
    assert_eq!(roles(&server).len(), 2);
    three.simple("SELECT 1").await.unwrap();
    drop(three);
    wait_for("its role to be gone", || roles(&server) == ["sluice_0123456789abc"]);
    site.stop().unwrap();
}
