use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::config::{TEMPLATE_CLASSIFICATION_TOML, TEMPLATE_SSH_KEYS_TOML, TEMPLATE_TARGETS_TOML};

fn write(dir: &Path, policy: &str) {
    fs::create_dir_all(dir.join("policies")).unwrap();
    fs::write(dir.join("targets.toml"), TEMPLATE_TARGETS_TOML).unwrap();
    fs::write(dir.join("classification.toml"), TEMPLATE_CLASSIFICATION_TOML).unwrap();
    fs::write(dir.join("policies/main.cedar"), policy).unwrap();
}

fn shown(refused: &RefusedRevision) -> Vec<String> {
    refused.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_revision_is_its_files() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "// b");
    fs::write(dir.path().join("policies/baseline.cedar"), "// a").unwrap();
    fs::write(dir.path().join("policies/.hidden.cedar"), "// no").unwrap();
    fs::write(dir.path().join("policies/main.cedar~"), "// no").unwrap();
    let revision = RevisionFiles::load(dir.path()).unwrap();
    assert_eq!(revision.targets.len(), 1);
    assert!(!revision.classification.rules.is_empty());
    assert_eq!(revision.policies.iter().map(|file| &*file.text).collect::<Vec<_>>(), ["// a", "// b"]);
    assert_eq!(RevisionFiles::load(dir.path()).unwrap().digest, revision.digest);
    fs::rename(dir.path().join("policies/main.cedar"), dir.path().join("policies/other.cedar")).unwrap();
    let renamed = RevisionFiles::load(dir.path()).unwrap().digest;
    assert_ne!(renamed, revision.digest);
    fs::write(dir.path().join("policies/other.cedar"), "// c").unwrap();
    assert_ne!(RevisionFiles::load(dir.path()).unwrap().digest, renamed);
}

#[test]
fn the_description_of_an_interface_is_part_of_the_revision() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "");
    let target = "[billing]\nprotocol = \"http\"\naddress = \"b:1\"\npath_prefix = \"/b\"\ncredential = { none = true }\n\
                  openapi = \"billing.json\"\n";
    fs::write(dir.path().join("targets.toml"), target).unwrap();
    let refused = shown(&RevisionFiles::load(dir.path()).unwrap_err());
    assert!(refused[0].contains("billing.openapi") && refused[0].contains("no apis/billing.json"), "{refused:?}");
    fs::create_dir(dir.path().join("apis")).unwrap();
    fs::write(dir.path().join("apis/billing.json"), "{}").unwrap();
    fs::write(dir.path().join("apis/notes.txt"), "no").unwrap();
    let revision = RevisionFiles::load(dir.path()).unwrap();
    assert_eq!(revision.apis.iter().map(|file| &*file.text).collect::<Vec<_>>(), ["{}"]);
    // Larger than any other file may be.
    fs::write(dir.path().join("apis/billing.json"), " ".repeat(2 << 20)).unwrap();
    assert_ne!(RevisionFiles::load(dir.path()).unwrap().digest, revision.digest);
    fs::write(dir.path().join("apis/billing.json"), b"\xff").unwrap();
    assert!(shown(&RevisionFiles::load(dir.path()).unwrap_err())[0].contains("not UTF-8"));
}

#[test]
fn op_01_every_mistake_of_every_file_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "");
    fs::write(dir.path().join("targets.toml"), "[a]\nx = 1\n").unwrap();
    fs::write(dir.path().join("classification.toml"), "[[column]]\nmatch = \"x\"\n").unwrap();
    fs::write(dir.path().join("policies/bad.cedar"), b"// ok\n\xff").unwrap();
    fs::create_dir(dir.path().join("policies/dir.cedar")).unwrap();
    let shown = shown(&RevisionFiles::load(dir.path()).unwrap_err());
    for part in [
        "targets.toml:2: a.x",
        "classification.toml:2: column.match",
        "bad.cedar:2: it is not UTF-8",
        "dir.cedar: it is not a file",
    ] {
        assert!(shown.iter().any(|line| line.contains(part)), "{part}: {shown:#?}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(RevisionFiles::load(empty.path()).unwrap_err().errors.len(), 3);
}

#[test]
fn op_02_a_swapped_link_is_read_wholly_before_or_wholly_after() {
    let root = tempfile::tempdir().unwrap();
    let (first, second, link) = (root.path().join("1"), root.path().join("2"), root.path().join("current"));
    write(&first, "// 1");
    write(&second, "// 2");
    fs::write(second.join("policies/main2.cedar"), "// 2").unwrap();
    symlink(&first, &link).unwrap();
    let digests = [files::read(&first).digest(), files::read(&second).digest()];
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let next = root.path().join("next");
            for turn in 0.. {
                let target = if turn % 2 == 0 { &second } else { &first };
                symlink(target, &next).unwrap();
                fs::rename(&next, &link).unwrap();
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..500 {
            let contents = files::read(&link);
            assert!(digests.contains(&contents.digest()), "{contents:?}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn op_02_a_half_written_file_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let policy = |text: &str| {
        write(dir.path(), text);
        files::read(dir.path())
    };
    let (half, whole) = (policy("forbid (princ"), policy("forbid (principal, action, resource);"));
    let script = |texts: &[&str]| {
        let mut texts = texts.iter().map(|text| policy(text)).collect::<Vec<_>>().into_iter();
        files::read_at_rest(4, || {}, || texts.next().unwrap())
    };
    let (half_text, whole_text) = (&half.policies[0].text, &whole.policies[0].text);
    let read = script(&["", half_text, whole_text, whole_text]).unwrap();
    assert_eq!(read, whole);
    // A name that vanishes for a moment, as when an editor replaces the file, is a change like any other.
    let gone = Contents { policies: Vec::new(), ..policy(whole_text) };
    let mut readings = [gone, policy(whole_text), policy(whole_text)].into_iter();
    assert_eq!(files::read_at_rest(4, || {}, || readings.next().unwrap()).unwrap(), whole);
    let refused = script(&["a", "b", "a", "b"]).unwrap_err();
    assert_eq!(shown(&refused), ["revision: its files keep changing; finish the change; it is read again then"]);
}

#[test]
fn rx_07_a_revision_is_bounded_in_files_and_bytes_and_refused_whole_beyond() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "");
    let policies = dir.path().join("policies");
    let comment = |bytes: usize| "/".repeat(bytes);
    let put = |name: usize, bytes: usize| fs::write(policies.join(format!("{name:04}.cedar")), comment(bytes)).unwrap();
    // With main.cedar, as many files as there may be; one of them as large as may be.
    (1..1000).for_each(|name| put(name, 10));
    put(1, 1 << 20);
    assert_eq!(RevisionFiles::load(dir.path()).unwrap().policies.len(), 1000);
    let refused = |part: &str| {
        let shown = shown(&RevisionFiles::load(dir.path()).unwrap_err());
        assert!(shown.iter().any(|line| line.contains(part)), "{part}: {shown:#?}");
    };
    put(1, (1 << 20) + 1);
    refused("0001.cedar: it is larger than 1 MiB");
    put(1, 10);
    put(1000, 10);
    refused("policies: it has more than 1000 *.cedar files");
    fs::remove_file(policies.join("1000.cedar")).unwrap();
    // Eight mebibytes in all, and a byte more.
    (1..1000).for_each(|name| put(name, 0));
    (1..9).for_each(|name| put(name, 1 << 20));
    assert_eq!(RevisionFiles::load(dir.path()).unwrap().policies.len(), 1000);
    put(9, 1);
    refused("policies: its policy files have more than 8 MiB together");
}

#[test]
fn keys_of_callers_are_of_the_revision_where_there_are_any() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "");
    let without = RevisionFiles::load(dir.path()).unwrap();
    assert_eq!(without.ssh_keys.iter().count(), 0);
    let file = dir.path().join("ssh_keys.toml");
    fs::write(&file, TEMPLATE_SSH_KEYS_TOML).unwrap();
    let with = RevisionFiles::load(dir.path()).unwrap();
    assert_ne!(with.digest, without.digest);
    fs::write(&file, "[[key]]\nkey = \"ssh-ed25519 AAAA\"\nsubject = \"corp|a\"\nkind = \"user\"\n").unwrap();
    let refused = shown(&RevisionFiles::load(dir.path()).unwrap_err());
    assert!(refused.len() == 1 && refused[0].contains("ssh_keys.toml:2: key.key"), "{refused:?}");
    // What cannot be read is no revision without keys.
    fs::remove_file(&file).unwrap();
    symlink(dir.path().join("nowhere"), &file).unwrap();
    let refused = shown(&RevisionFiles::load(dir.path()).unwrap_err());
    assert!(refused.len() == 1 && refused[0].contains("ssh_keys.toml"), "{refused:?}");
}
