//! What moves files: scp in both protocols, sftp, rsync, git: the same directly and through Sluice.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::ssh::{Client, Credential};
use testkit::sshd::{Options, Sshd};

use crate::execution::mebibyte;
use crate::ground::{ENGINEER, Ground};

/// A client, the home at the other end, and a folder here.
struct Way {
    client: Client,
    home: PathBuf,
    folder: tempfile::TempDir,
}

/// Does the same directly and through Sluice, and compares what it says.
fn the_same(act: impl Fn(&Way) -> Result<Vec<String>>) -> Result<()> {
    let ground = Ground::new()?;
    let key = ground.key("direct")?;
    let sshd = Sshd::start(&Options { authorized_keys: vec![key.public_line()?], ..Options::default() })?;
    let direct = Client::new(&sshd.endpoint("root", Credential::Key(key.private()))?)?;
    let directly = Way { client: direct, home: sshd.home(), folder: tempfile::tempdir()? };
    let through = Way { client: ground.client(ENGINEER)?, home: ground.sshd.home(), folder: tempfile::tempdir()? };
    let (directly, through) = (act(&directly).context("directly")?, act(&through).context("through Sluice")?);
    assert_eq!(directly, through);
    Ok(())
}

impl Way {
    /// A folder with a file in it, and one in a folder below.
    fn tree(&self) -> Result<String> {
        let tree = self.folder.path().join("tree");
        fs::create_dir_all(tree.join("below"))?;
        fs::write(tree.join("large"), mebibyte())?;
        fs::write(tree.join("below/small file"), "small\n")?;
        Ok(tree.to_str().context("it is not UTF-8")?.to_owned())
    }

    /// How a program ended and what it showed, without places.
    fn told(&self, output: &testkit::command::Output) -> String {
        let text = format!("{:?}\n{}\n{}", output.status.code(), output.stdout, output.stderr);
        let places = [(&self.home, "HOME"), (&self.folder.path().to_owned(), "FOLDER")];
        places.iter().fold(text, |text, (place, name)| text.replace(&place.display().to_string(), name))
    }
}

fn is_the_tree(path: &Path) -> Result<()> {
    assert!(fs::read(path.join("large"))? == mebibyte(), "{}", path.display());
    assert_eq!(fs::read_to_string(path.join("below/small file"))?, "small\n");
    Ok(())
}

fn scp_there_and_back(way: &Way, mode: &[&str]) -> Result<Vec<String>> {
    let (tree, back) = (way.tree()?, way.folder.path().join("back"));
    let there = way.client.scp(&[mode, &["-r", "-p", &tree, "target:there"]].concat())?;
    assert!(there.status.success(), "{there:?}");
    is_the_tree(&way.home.join("there"))?;
    let back = back.to_str().context("it is not UTF-8")?;
    let returned = way.client.scp(&[mode, &["-r", "target:there", back]].concat())?;
    assert!(returned.status.success(), "{returned:?}");
    is_the_tree(back.as_ref())?;
    let none = way.client.scp(&[mode, &["target:none", back]].concat())?;
    Ok([there, returned, none].iter().map(|output| way.told(output)).collect())
}

#[test]
fn scp_moves_files_by_way_of_sftp() -> Result<()> {
    the_same(|way| scp_there_and_back(way, &["-s"]))
}

#[test]
fn scp_moves_files_in_its_old_protocol() -> Result<()> {
    the_same(|way| scp_there_and_back(way, &["-O"]))
}

#[test]
fn sftp_runs_a_batch() -> Result<()> {
    the_same(|way| {
        let at = way.tree()?;
        let batch = format!(
            "mkdir d\nput {at}/large d/a\nchmod 640 d/a\nrename d/a d/b\nln d/b d/hard\nsymlink b d/link\nls -1 d\n\
             get d/link {at}/fetched\nrm d/hard\nrm d/link\n-get none\n-reput {at}/large d/b\nrm d/b\nrmdir d\npwd\n\
             cd /\npwd\n"
        );
        let output = way.client.sftp(&batch)?;
        assert!(output.status.success(), "{output:?}");
        assert!(fs::read(format!("{at}/fetched"))? == mebibyte());
        assert!(!way.home.join("d").exists());
        let failed = way.client.sftp("get none\nmkdir never\n")?;
        assert!(!way.home.join("never").exists());
        Ok(vec![way.told(&output), way.told(&failed)])
    })
}

#[test]
fn rsync_sends_only_what_changed() -> Result<()> {
    the_same(|way| {
        let (tree, back) = (way.tree()?, way.folder.path().join("back"));
        let source = format!("{tree}/");
        let sent = way.client.rsync(&["-a", &source, "target:there/"])?;
        assert!(sent.status.success(), "{sent:?}");
        is_the_tree(&way.home.join("there"))?;
        fs::write(format!("{tree}/below/small file"), "other\n")?;
        let changed = way.client.rsync(&["-ai", "--checksum", &source, "target:there/"])?;
        let count = changed.stdout.lines().filter(|line| line.starts_with("<f")).count();
        assert_eq!(count, 1, "{changed:?}");
        fs::write(format!("{tree}/below/small file"), "small\n")?;
        way.client.rsync(&["-a", "--checksum", "--delete", &source, "target:there/"])?.success()?;
        way.client.rsync(&["-a", "target:there/", back.to_str().context("it is not UTF-8")?])?.success()?;
        is_the_tree(&back)?;
        let none = way.client.rsync(&["-a", "target:none", "/nonexistent"])?;
        Ok(vec![way.told(&sent), format!("{:?}", none.status.code())])
    })
}

#[test]
fn git_clones_and_pushes() -> Result<()> {
    the_same(|way| {
        let (client, folder) = (&way.client, way.folder.path());
        client.git(&way.home, &["init", "-q", "--bare", "project.git"])?.success()?;
        client.git(folder, &["clone", "-q", "target:project.git", "first"])?.success()?;
        let first = folder.join("first");
        fs::write(first.join("large"), mebibyte())?;
        client.git(&first, &["add", "large"])?.success()?;
        client.git(&first, &["commit", "-q", "-m", "large"])?.success()?;
        client.git(&first, &["push", "-q", "origin", "HEAD:main"])?.success()?;
        let path = format!("ssh://target{}/project.git", way.home.display());
        client.git(folder, &["clone", "-q", &path, "second"])?.success()?;
        assert!(fs::read(folder.join("second/large"))? == mebibyte());
        let none = client.git(folder, &["clone", "-q", "target:none.git", "third"])?;
        Ok(vec![way.told(&none)])
    })
}
