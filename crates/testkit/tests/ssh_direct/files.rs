//! What moves files: scp in both protocols, sftp, rsync, git.

use std::fs;

use anyhow::{Context, Result};
use testkit::sshd::Request;

use crate::support::{Ground, ground, mebibyte};

/// A folder with a file in it, and one in a folder below.
fn tree(ground: &Ground) -> Result<String> {
    let tree = ground.folder.path().join("tree");
    fs::create_dir_all(tree.join("below"))?;
    fs::write(tree.join("large"), mebibyte())?;
    fs::write(tree.join("below/small file"), "small\n")?;
    Ok(tree.to_str().context("it is not UTF-8")?.to_owned())
}

fn is_the_tree(path: &std::path::Path) -> Result<()> {
    assert!(fs::read(path.join("large"))? == mebibyte(), "{}", path.display());
    assert_eq!(fs::read_to_string(path.join("below/small file"))?, "small\n");
    Ok(())
}

fn scp_there_and_back(ground: &Ground, mode: &[&str]) -> Result<()> {
    let (tree, back) = (tree(ground)?, ground.folder.path().join("back"));
    ground.client.scp(&[mode, &["-r", "-p", &tree, "target:there"]].concat())?.success()?;
    is_the_tree(&ground.sshd.home().join("there"))?;
    let back = back.to_str().context("it is not UTF-8")?;
    ground.client.scp(&[mode, &["-r", "target:there", back]].concat())?.success()?;
    is_the_tree(back.as_ref())?;
    let none = ground.client.scp(&[mode, &["target:none", back]].concat())?;
    assert!(none.status.code() == Some(1) && none.stderr.contains("No such file or directory"), "{none:?}");
    Ok(())
}

#[test]
fn scp_moves_files_by_way_of_sftp() -> Result<()> {
    let ground = ground()?;
    scp_there_and_back(&ground, &["-s"])?;
    assert_eq!(ground.requests()?, vec![Request::Subsystem("sftp".to_owned()); 3]);
    Ok(())
}

#[test]
fn scp_moves_files_in_its_old_protocol() -> Result<()> {
    let ground = ground()?;
    scp_there_and_back(&ground, &["-O"])?;
    assert_eq!(ground.lines()?, ["scp -r -p -t there", "scp -r -f there", "scp -f none"]);
    assert!(ground.sshd.sftp_operations().is_empty());
    Ok(())
}

#[test]
fn sftp_runs_a_batch_and_its_operations_are_known() -> Result<()> {
    let ground = ground()?;
    let (at, home) = (tree(&ground)?, ground.sshd.home());
    let batch = format!(
        "mkdir d\nput {at}/large d/a\nchmod 640 d/a\nrename d/a d/b\nln d/b d/hard\nsymlink b d/link\nls -1 d\n\
         get d/link {at}/fetched\nrm d/hard\nrm d/link\n-get none\nrm d/b\nrmdir d\n"
    );
    let output = ground.client.sftp(&batch)?;
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.contains("d/b\nd/hard\nd/link\n"), "{}", output.stdout);
    assert!(fs::read(format!("{at}/fetched"))? == mebibyte());
    assert!(!home.join("d").exists());
    assert_eq!(ground.requests()?, [Request::Subsystem("sftp".to_owned())]);
    let (operations, home) = (ground.sshd.sftp_operations(), home.display());
    let expected = [
        format!("mkdir name \"{home}/d\" mode 0777"),
        format!("open \"{home}/d/a\" flags WRITE,CREATE,TRUNCATE mode 0644"),
        format!("close \"{home}/d/a\" bytes read 0 written 1048576"),
        format!("set \"{home}/d/a\" mode 0640"),
        format!("posix-rename old \"{home}/d/a\" new \"{home}/d/b\""),
        format!("hardlink old \"{home}/d/b\" new \"{home}/d/hard\""),
        format!("symlink old \"b\" new \"{home}/d/link\""),
        format!("close \"{home}/d/link\" bytes read 1048576 written 0"),
        format!("remove name \"{home}/d/hard\""),
        format!("rmdir name \"{home}/d\""),
    ];
    let mut rest = operations.iter();
    for operation in &expected {
        assert!(rest.any(|found| found == operation), "{operation} does not come in its turn in {operations:#?}");
    }
    Ok(())
}

#[test]
fn a_batch_of_sftp_that_fails_says_so() -> Result<()> {
    let ground = ground()?;
    let output = ground.client.sftp("get none\nmkdir never\n")?;
    assert!(output.status.code() == Some(1) && output.stderr.contains("not found"), "{output:?}");
    assert!(!ground.sshd.home().join("never").exists());
    Ok(())
}

#[test]
fn rsync_sends_only_what_changed() -> Result<()> {
    let ground = ground()?;
    let (tree, back) = (tree(&ground)?, ground.folder.path().join("back"));
    let source = format!("{tree}/");
    ground.client.rsync(&["-a", &source, "target:there/"])?.success()?;
    is_the_tree(&ground.sshd.home().join("there"))?;
    fs::write(format!("{tree}/below/small file"), "other\n")?;
    let changed = ground.client.rsync(&["-ai", "--checksum", &source, "target:there/"])?.success()?;
    let files: Vec<_> = changed.lines().filter(|line| line.starts_with("<f")).collect();
    assert!(files.len() == 1 && files[0].ends_with("below/small file"), "{changed}");
    fs::write(format!("{tree}/below/small file"), "small\n")?;
    ground.client.rsync(&["-a", "--checksum", "--delete", &source, "target:there/"])?.success()?;
    ground.client.rsync(&["-a", "target:there/", back.to_str().context("it is not UTF-8")?])?.success()?;
    is_the_tree(&back)?;
    let lines = ground.lines()?;
    assert!(lines.len() == 4 && lines.iter().all(|line| line.starts_with("rsync --server ")), "{lines:?}");
    assert!(lines[3].starts_with("rsync --server --sender "), "{lines:?}");
    let none = ground.client.rsync(&["-a", "target:none", "/nonexistent"])?;
    assert_ne!(none.status.code(), Some(0));
    Ok(())
}

#[test]
fn git_clones_and_pushes() -> Result<()> {
    let ground = ground()?;
    let (client, folder) = (&ground.client, ground.folder.path());
    let home = ground.sshd.home();
    client.git(&home, &["init", "-q", "--bare", "project.git"])?.success()?;
    client.git(folder, &["clone", "-q", "target:project.git", "first"])?.success()?;
    let first = folder.join("first");
    fs::write(first.join("large"), mebibyte())?;
    client.git(&first, &["add", "large"])?.success()?;
    client.git(&first, &["commit", "-q", "-m", "large"])?.success()?;
    client.git(&first, &["push", "-q", "origin", "HEAD:main"])?.success()?;
    let path = format!("ssh://target{}/project.git", home.display());
    client.git(folder, &["clone", "-q", &path, "second"])?.success()?;
    assert!(fs::read(folder.join("second/large"))? == mebibyte());
    let lines = ground.lines()?;
    assert_eq!(lines[..2], ["git-upload-pack 'project.git'", "git-receive-pack 'project.git'"]);
    assert_eq!(lines.last(), Some(&format!("git-upload-pack '{}/project.git'", home.display())));
    let none = client.git(folder, &["clone", "-q", "target:none.git", "third"])?;
    assert!(
        none.status.code() == Some(128) && none.stderr.contains("does not appear to be a git repository"),
        "{none:?}"
    );
    Ok(())
}
