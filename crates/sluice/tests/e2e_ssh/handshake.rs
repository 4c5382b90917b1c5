//! The beginning of a connection, byte by byte: what Sluice proposes, and what it does not put up with.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::event::Event;
use testkit::ssh::keys::{Authority, Key};
use testkit::sshd::Options;

use crate::ground::{ENGINEER, Ground, Tuning};
use crate::support::{LIMIT, record};

/// A connection on which nothing is encrypted yet.
struct Raw(TcpStream);

impl Raw {
    fn connect(ground: &Ground) -> Result<Self> {
        let stream = TcpStream::connect(ground.site.process()?.address("ssh")?)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self(stream))
    }

    /// Connects and exchanges versions; with the server's first packet, its proposal.
    fn greeted(ground: &Ground) -> Result<(Self, Vec<u8>)> {
        let mut raw = Self::connect(ground)?;
        raw.0.write_all(b"SSH-2.0-Test\r\n")?;
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(raw.byte()?);
        }
        ensure!(line == b"SSH-2.0-Sluice\r\n", "{line:?}");
        let proposal = raw.packet()?;
        Ok((raw, proposal))
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// The payload of a packet (RFC 4253, section 6).
    fn packet(&mut self) -> Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut packet = vec![0; usize::try_from(u32::from_be_bytes(length))?];
        self.0.read_exact(&mut packet)?;
        let padding = usize::from(packet[0]);
        Ok(packet[1..packet.len() - padding].to_vec())
    }

    fn send(&mut self, payload: &[u8]) {
        let padding = 16 - (payload.len() + 5) % 8;
        let length = u32::try_from(payload.len() + 1 + padding).expect("it is short");
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).expect("it is short"));
        packet.extend_from_slice(payload);
        packet.resize(packet.len() + padding, 0);
        // It may be closed already.
        let _ = self.0.write_all(&packet);
    }

    /// Reads to the end of the connection, and fails if that does not come.
    fn ends(mut self) -> Result<()> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Ok(()),
            Err(error) => Err(error).context("it stays open"),
        }
    }
}

/// The lists of a proposal (RFC 4253, section 7.1).
fn lists(proposal: &[u8]) -> Vec<Vec<String>> {
    let mut rest = &proposal[17..];
    let mut lists = Vec::new();
    for _ in 0..10 {
        let (length, behind) = rest.split_first_chunk::<4>().expect("a list has a length");
        let (list, behind) = behind.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        let names = String::from_utf8_lossy(list).into_owned();
        lists.push(names.split(',').map(str::to_owned).collect());
        rest = behind;
    }
    lists
}

/// A client's proposal like a server's, with strict key exchange or without.
fn proposal(of: &[u8], strict: bool) -> Vec<u8> {
    let mut lists = lists(of);
    lists[0].retain(|name| !name.starts_with("kex-strict") && !name.starts_with("ext-info"));
    if strict {
        lists[0].push("kex-strict-c-v00@openssh.com".to_owned());
    }
    let mut message = vec![20];
    message.extend([7; 16]);
    for list in lists {
        let names = list.join(",");
        message.extend(u32::try_from(names.len()).expect("it is short").to_be_bytes());
        message.extend(names.into_bytes());
    }
    message.extend([0; 5]);
    message
}

#[test]
fn sh_09_strict_key_exchange_and_nothing_weak_is_proposed() -> Result<()> {
    let ground = Ground::new()?;
    let (_, proposal) = Raw::greeted(&ground)?;
    assert_eq!(proposal[0], 20);
    let lists = lists(&proposal);
    assert!(lists[0].contains(&"kex-strict-s-v00@openssh.com".to_owned()), "{lists:?}");
    let all: Vec<&String> = lists.iter().flatten().collect();
    for weak in ["chacha20", "cbc", "sha1", "ssh-rsa", "ssh-dss", "arcfour", "3des", "md5", "group1-", "zlib"] {
        assert!(!all.iter().any(|name| name.contains(weak)), "{weak}: {lists:?}");
    }
    assert_eq!((&lists[6], &lists[7]), (&vec!["none".to_owned()], &vec!["none".to_owned()]));
    assert!(!lists[2].contains(&"none".to_owned()) && !lists[4].contains(&"none".to_owned()));
    Ok(())
}

#[test]
fn sh_09_a_message_between_the_proposal_and_the_keys_ends_a_strict_exchange() -> Result<()> {
    let ground = Ground::new()?;
    // IGNORE, DEBUG, UNIMPLEMENTED: what an attacker in the middle could put in.
    for inserted in [&b"\x02\0\0\0\x01x"[..], b"\x04\0\0\0\0\x01x\0\0\0\0", b"\x03\0\0\0\0"] {
        let (mut raw, theirs) = Raw::greeted(&ground)?;
        raw.send(&proposal(&theirs, true));
        raw.send(inserted);
        raw.ends().with_context(|| format!("behind the proposal: {inserted:?}"))?;
        let (mut raw, theirs) = Raw::greeted(&ground)?;
        raw.send(inserted);
        raw.send(&proposal(&theirs, true));
        raw.ends().with_context(|| format!("in front of the proposal: {inserted:?}"))?;
    }
    Ok(())
}

#[test]
fn sh_09_nothing_but_a_key_exchange_is_taken_in_clear() -> Result<()> {
    let ground = Ground::new()?;
    let service = [&[5, 0, 0, 0, 12][..], b"ssh-userauth"].concat();
    for message in [
        &service[..],
        b"\x32\0\0\0\0",
        b"\x34",
        b"\x5a\0\0\0\x07session",
        b"\x50\0\0\0\x01x\x01",
        b"\x15",
        b"\x07\0\0\0\0",
    ] {
        for strict in [true, false] {
            let (mut raw, theirs) = Raw::greeted(&ground)?;
            raw.send(&proposal(&theirs, strict));
            raw.send(message);
            raw.ends().with_context(|| format!("{message:?}, {strict}"))?;
        }
    }
    assert_eq!(ground.client(ENGINEER)?.exec("echo on")?.success()?, "on\n");
    Ok(())
}

#[test]
fn sm_17_lengths_and_padding_that_cannot_be_end_the_connection() -> Result<()> {
    let ground = Ground::new()?;
    let odd: [&[u8]; 7] = [
        b"\0\0\0\0",
        b"\0\0\0\x01\0",
        b"\0\0\0\x04\xff\0\0\0",
        b"\0\0\0\x0c\x0c\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\x0c\x0b\0\0\0\0\0\0\0\0\0\0\0",
        b"\xff\xff\xff\xff\x04\x14",
        b"\x80\0\0\0\x04\x14",
    ];
    for bytes in odd {
        let (mut raw, _) = Raw::greeted(&ground)?;
        raw.0.write_all(bytes)?;
        // Of what was declared and does not come, this is the end; what cannot be may be over before.
        let _ = raw.0.shutdown(std::net::Shutdown::Write);
        raw.ends().with_context(|| format!("{bytes:?}"))?;
    }
    let mut endless = Raw::connect(&ground)?;
    for _ in 0..1024 {
        if endless.0.write_all(&[b'x'; 1024]).is_err() {
            break;
        }
    }
    endless.ends()?;
    assert_eq!(ground.client(ENGINEER)?.exec("echo on")?.success()?, "on\n");
    Ok(())
}

#[test]
fn rx_03_ssh_a_declared_length_allocates_nothing() -> Result<()> {
    let ground = Ground::new()?;
    ground.client(ENGINEER)?.exec("true")?;
    let before = ground.peak()?;
    let mut waiting = Vec::new();
    for declared in [0xffff_ffff_u32, 0x7fff_ffff, 16 << 20, 300_000, 262_144] {
        for _ in 0..4 {
            let (mut raw, _) = Raw::greeted(&ground)?;
            raw.0.write_all(&declared.to_be_bytes())?;
            raw.0.write_all(&[4, 20, 0, 0])?;
            waiting.push(raw);
        }
    }
    assert_eq!(ground.client(ENGINEER)?.exec("echo on")?.success()?, "on\n");
    let grown = ground.peak()? - before;
    assert!(grown < 24 << 20, "{grown} bytes more");
    Ok(())
}

#[test]
fn rx_01_ssh_slow_logins_are_over_at_the_deadline() -> Result<()> {
    let sluice_toml = "\n[limits]\nlogin_timeout = \"2s\"\n".to_owned();
    let ground = Ground::tuned(Tuning { sluice_toml, ..Tuning::default() })?;
    let begun = Instant::now();
    let silent = Raw::connect(&ground)?;
    let (greeted, _) = Raw::greeted(&ground)?;
    let (mut exchanging, theirs) = Raw::greeted(&ground)?;
    exchanging.send(&proposal(&theirs, true));
    let mut dribbling = Raw::connect(&ground)?;
    for byte in b"SSH-2.0-Slow\r\n" {
        if dribbling.0.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    for raw in [silent, greeted, exchanging, dribbling] {
        raw.ends()?;
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(ground.client(ENGINEER)?.exec("echo on")?.success()?, "on\n");
    Ok(())
}

fn is_refused_with_an_alarm(ground: &Ground, why: &str) -> Result<()> {
    let output = ground.client(ENGINEER)?.exec("echo in")?;
    assert!(output.status.code() == Some(255) && output.stdout.is_empty(), "{output:?}");
    assert!(output.stderr.contains("the target cannot be reached"), "{output:?}");
    assert!(!output.stderr.contains("SHA256:"), "{output:?}");
    record::wait_for(
        &ground.site,
        why,
        |event| matches!(event, Event::SessionClosed { reason, .. } if reason.contains("another host key") && reason.contains(why)),
    )?;
    assert!(ground.site.log().contains(why));
    assert_eq!((ground.sshd.executed()?, ground.sshd.accepted()), (vec![], vec![]));
    Ok(())
}

#[test]
fn sh_07_a_host_with_another_key_is_refused_and_the_journal_says_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let other = Key::generate(folder.path(), "other")?;
    let host_keys = Some(format!("host_keys = [\"{}\"]", other.public_line()?));
    let ground = Ground::tuned(Tuning { host_keys, ..Tuning::default() })?;
    is_refused_with_an_alarm(&ground, "is not among host_keys")
}

#[test]
fn sh_07_a_host_certificate_is_for_its_authority_and_its_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (authority, other) = (Authority::generate(folder.path(), "ca")?, Authority::generate(folder.path(), "other")?);
    let believes = |authority: &Authority| {
        Ok::<_, anyhow::Error>(Some(format!("host_authorities = [\"{}\"]", authority.key().public_line()?)))
    };
    let host = || Options { host_authority: Some(authority.clone()), ..Options::default() };
    let ground = Ground::tuned(Tuning { host: host(), host_keys: believes(&authority)?, ..Tuning::default() })?;
    assert_eq!(ground.client(ENGINEER)?.exec("echo in")?.success()?, "in\n");
    let wrong = Ground::tuned(Tuning { host: host(), host_keys: believes(&other)?, ..Tuning::default() })?;
    is_refused_with_an_alarm(&wrong, "the host's certificate is not valid")?;
    // Without a certificate, an authority alone believes nobody.
    let bare = Ground::tuned(Tuning { host_keys: believes(&authority)?, ..Tuning::default() })?;
    is_refused_with_an_alarm(&bare, "is not among host_keys")?;
    let elsewhere = Ground::tuned(Tuning { host: host(), host_keys: believes(&authority)?, ..Tuning::default() })?;
    authority.certify_host(elsewhere.sshd.host_key(), &["elsewhere"])?;
    is_refused_with_an_alarm(&elsewhere, "is for [elsewhere] and not for 127.0.0.1")
}
