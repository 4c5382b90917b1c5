//! Programs that are asked for passwords, and every way in which they may not give one.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::place::{apply, is_nowhere, is_recorded, is_refused, program, served_by, targets};
use crate::world::World;

fn credential(program: &std::path::Path) -> String {
    format!(
        "user = \"nobody\", password = {{ exec = [\"{}\", \"an argument\"], reference = \"of payments\", \
         environment = [\"CARGO_MANIFEST_DIR\"], timeout = \"2s\" }}",
        program.display()
    )
}

#[test]
fn a_program_gives_user_and_password_and_is_told_what_for() {
    let world = World::start(200);
    let (user, password) = (&world.payments.login.user, &world.payments.login.password);
    let seen = world.dir.path().join("seen");
    let text = format!(
        "#!/bin/sh\ncat > {seen}\necho \"$1\" >> {seen}\nenv | sort >> {seen}\n\
         echo '{{\"version\":1,\"username\":\"{user}\",\"password\":\"{password}\",\"more\":true}}'\n\
         echo 'a word for the log' >&2\n",
        seen = seen.display()
    );
    let plugin = program(&world, "plugin", &text);
    apply(&world, &targets(&world, "", &credential(&plugin)));
    assert_eq!(served_by(&world), *user);
    let seen = std::fs::read_to_string(seen).unwrap();
    let asked: serde_json::Value = serde_json::from_str(seen.split_inclusive('}').next().unwrap()).unwrap();
    let wanted =
        serde_json::json!({ "version": 1, "target": "payments", "user": "nobody", "reference": "of payments" });
    assert_eq!(asked, wanted);
    assert!(
        seen.contains("an argument") && seen.contains("CARGO_MANIFEST_DIR=") && !seen.contains("CARGO_PKG_NAME"),
        "{seen}"
    );
    let real = plugin.display().to_string();
    assert!(is_recorded(&world, &format!("exec:{real}:of payments")));
    is_nowhere(&world, password);
}

#[test]
fn an_answer_with_an_end_is_used_until_then() {
    let world = World::start(200);
    let (user, password) = (&world.payments.login.user, &world.payments.login.password);
    let count = world.dir.path().join("count");
    let write = |end: i64| {
        program(
            &world,
            "plugin",
            &format!(
                "#!/bin/sh\necho x >> {}\necho '{{\"version\":1,\"username\":\"{user}\",\"password\":\"{password}\",\"expires_at\":{end}}}'\n",
                count.display()
            ),
        )
    };
    let plugin = write(4_102_444_800);
    apply(&world, &targets(&world, "", &credential(&plugin)));
    for _ in 0..3 {
        served_by(&world);
    }
    let asked = || std::fs::read_to_string(&count).unwrap().lines().count();
    assert_eq!(asked(), 1);
    // One that has ended is none.
    write(1);
    let again = credential(&plugin).replace("of payments", "again");
    apply(&world, &targets(&world, "", &again));
    is_refused(&world);
}

#[test]
fn a_program_that_gives_none_lets_nobody_in_and_does_no_harm() {
    let world = World::start(200);
    let password = &world.payments.login.password;
    let answer =
        format!("{{\"version\":1,\"username\":\"{}\",\"password\":\"{password}\"}}", world.payments.login.user);
    let bad = [
        ("hangs", "sleep 1000 & sleep 1000".to_owned()),
        ("floods", "yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned()),
        ("floods its standard error", "yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa >&2".to_owned()),
        ("prints garbage", format!("echo '{password}'; echo '{password}' >&2")),
        ("prints nothing", "true".to_owned()),
        ("fails", format!("echo '{answer}'; exit 1")),
        ("is of another version", format!("echo '{}'", answer.replace(":1,", ":2,"))),
        ("has no password", "echo '{\"version\":1,\"password\":\"\"}'".to_owned()),
        ("is killed", "kill -9 $$".to_owned()),
    ];
    for (name, script) in bad {
        let plugin = program(&world, "plugin", &format!("#!/bin/sh\n{script}\n"));
        apply(&world, &targets(&world, "", &credential(&plugin).replace("of payments", name)));
        let began = Instant::now();
        is_refused(&world);
        assert!(began.elapsed() < Duration::from_secs(15), "{name} takes {:?}", began.elapsed());
    }
    // Whatever it started ended with it.
    let left = std::process::Command::new("pgrep").args(["-f", "^sleep 1000$"]).output().unwrap();
    assert!(left.stdout.is_empty(), "{left:?}");
    is_nowhere(&world, password);
}

#[test]
fn a_program_that_others_can_change_is_not_run() {
    let world = World::start(200);
    let ran = world.dir.path().join("ran");
    let plugin = program(&world, "plugin", &format!("#!/bin/sh\ntouch {}\n", ran.display()));
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&plugin, 0o722);
    apply(&world, &targets(&world, "", &credential(&plugin)));
    is_refused(&world);
    assert!(!ran.exists(), "others can write it");
    // Or put another one in its place.
    let directory = world.dir.path().join("open");
    std::fs::create_dir(&directory).unwrap();
    let moved = directory.join("plugin");
    open(&plugin, 0o700);
    std::fs::rename(&plugin, &moved).unwrap();
    open(&directory, 0o777);
    apply(&world, &targets(&world, "", &credential(&moved)));
    is_refused(&world);
    assert!(!ran.exists(), "others can replace it");
    open(&directory, 0o755);
    let again = credential(&moved).replace("of payments", "again");
    apply(&world, &targets(&world, "", &again));
    is_refused(&world);
    assert!(ran.exists(), "it runs, and answers nothing");
}
