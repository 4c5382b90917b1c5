//! A role of its own for each session: what it may do, what stays of it, and what a killed process leaves.

use testkit::postgres::Authentication;
use testkit::wait::eventually_blocking;

use super::place::{LIMIT, Live, apply, events, is_recorded, is_refused, private, targets};
use crate::world::World;

/// A world whose target has a role for each session: members of the owner of the tables.
fn prepared(owned: &str) -> World {
    let world = World::start(200);
    let admin = world.server.login("role_admin", Authentication::Scram).unwrap();
    let owner = &world.payments.login.user;
    let grant =
        format!("ALTER ROLE role_admin CREATEROLE; GRANT {owner}, testkit_scram TO role_admin WITH ADMIN OPTION");
    world.server.sql("postgres", &grant).unwrap();
    let file = private(&world, "admin-password", &admin.password);
    let credential = format!(
        "user = \"role_admin\", password = {{ file = \"{}\" }}, \
         ephemeral_role = {{ in_role = [\"{owner}\", \"testkit_scram\"]{owned} }}",
        file.display()
    );
    apply(&world, &targets(&world, "", &credential));
    world
}

fn roles(world: &World) -> Vec<String> {
    let found = "SELECT rolname FROM pg_roles WHERE rolname ~ '^sluice_[0-9a-z]{13}$' ORDER BY 1";
    world.server.sql("postgres", found).unwrap().lines().map(str::to_owned).collect()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually_blocking(LIMIT, what, || Ok(is_so().then_some(()))).unwrap();
}

#[test]
fn each_session_has_a_role_of_its_own_that_is_gone_after_it() {
    let world = prepared("");
    let (mut one, mut two) = (Live::open(&world), Live::open(&world));
    let (first, second) = (one.ask("SELECT current_user"), two.ask("SELECT session_user"));
    assert_ne!(first, second);
    let mut both = vec![first.clone(), second.clone()];
    both.sort();
    assert_eq!(roles(&world), both);
    assert!(is_recorded(&world, &format!("role:{first}")));
    // It is nothing but a member, may log in once, and not for long.
    let found = format!(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconnlimit, \
         rolvaliduntil BETWEEN now() AND now() + interval '2 minutes' FROM pg_roles WHERE rolname = '{first}'"
    );
    assert_eq!(world.server.sql("postgres", &found).unwrap(), "f|f|f|f|f|1|t");
    // The statement log of the target has its verifier, and no password.
    let said = world.server.statement_log().unwrap();
    let created: Vec<_> = said.iter().filter(|entry| entry.text.starts_with("CREATE ROLE \"sluice_")).collect();
    assert_eq!(created.len(), 2);
    assert!(created.iter().all(|entry| entry.text.contains("PASSWORD 'SCRAM-SHA-256$4096:")), "{created:?}");
    one.close();
    wait_for("the first role to be gone", || roles(&world) == [second.clone()]);
    two.close();
    wait_for("the second role to be gone", || roles(&world).is_empty());
    let own = |wanted: &str| {
        let is_it = |event: &model::event::Event| matches!(event, model::event::Event::OwnStatement { name, .. } if **name == *wanted);
        events(&world).iter().filter(|event| is_it(event)).count()
    };
    assert_eq!(own("create-role"), 2);
    assert!(own("drop-role") >= 2);
}

#[test]
fn masks_names_and_the_wall_work_as_ever() {
    let world = prepared("");
    let masked = world.rows(&world.reader(), "SELECT number FROM cards ORDER BY id LIMIT 1");
    assert!(masked.contains("***"), "{masked}");
    // A session that may not write has its wall: the target itself refuses.
    let wall = world.rows(&world.reader(), "SHOW default_transaction_read_only");
    assert_eq!(wall.trim(), "on");
    let migrator = world.token("migrator", &["apps", "readers", "migrations", "cleared"]);
    assert_eq!(world.rows(&migrator, "SHOW default_transaction_read_only").trim(), "off");
    // SET ROLE is followed, and a name means what it means to the role.
    let mut live = Live::open(&world);
    let owner = world.payments.login.user.clone();
    let own = live.ask("SELECT current_user");
    live.ask(&format!("SET ROLE {owner}"));
    assert_eq!(live.ask("SELECT current_user"), owner);
    live.ask("RESET ROLE");
    assert_eq!(live.ask("SELECT current_user"), own);
    live.ask("CREATE TEMP TABLE mine (id int)");
    assert_eq!(live.ask("SELECT count(*) FROM mine"), "0");
    live.close();
    wait_for("the roles to be gone", || roles(&world).is_empty());
}

#[test]
fn what_a_session_made_stays_with_the_role_that_it_is_given_to() {
    let world = prepared("");
    let owner = world.payments.login.user.clone();
    let migrator = world.token("migrator", &["apps", "readers", "migrations", "cleared"]);
    world.rows(&migrator, "CREATE TABLE kept (id int)");
    wait_for("the role to be gone", || roles(&world).is_empty());
    let of = "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'";
    assert_eq!(world.server.sql("payments", of).unwrap(), owner);
}

#[test]
fn what_a_session_made_goes_with_it_where_that_is_wanted() {
    let world = prepared(", owned = \"drop\"");
    let migrator = world.token("migrator", &["apps", "readers", "migrations", "cleared"]);
    world.rows(&migrator, "CREATE TABLE gone (id int)");
    wait_for("the role to be gone", || roles(&world).is_empty());
    let of = "SELECT count(*) FROM pg_tables WHERE tablename = 'gone'";
    assert_eq!(world.server.sql("payments", of).unwrap(), "0");
}

#[test]
fn an_approval_of_one_session_is_spent_in_another_though_the_role_is_another() {
    let world = prepared("");
    let token = world.token("migrator", &["apps", "readers", "migrations", "cleared"]);
    // In a transaction it is a ticket at once.
    let asked = world.psql(&token, &["-X", "-c", "BEGIN", "-c", "DELETE FROM refunds WHERE id = 1"]);
    let ticket = asked.stderr.split([' ', '.']).find(|word| word.starts_with("apr-")).map(str::to_owned);
    let ticket = ticket.unwrap_or_else(|| panic!("no ticket: {asked:?}"));
    let answer = model::approval::Answer {
        approver: model::subject::SubjectKey { issuer: "corp".into(), id: "dana".into() },
        groups: vec!["dba".into()],
        approve: true,
        at: gateway::clock::now(),
        reason: None,
    };
    world.node.state.answer(ticket.parse().unwrap(), &answer, &[], gateway::clock::now()).unwrap();
    let spent = world.psql(&token, &["-X", "-c", "BEGIN", "-c", "DELETE FROM refunds WHERE id = 1", "-c", "COMMIT"]);
    assert!(spent.stdout.contains("DELETE"), "{spent:?}");
}

#[test]
fn without_the_right_to_make_roles_nobody_gets_in() {
    let world = prepared("");
    world.server.sql("postgres", "ALTER ROLE role_admin NOCREATEROLE").unwrap();
    is_refused(&world);
    assert!(roles(&world).is_empty());
}
