//! The oracle O1: what a host's own logs say was executed is what the journal permitted, as often as it was executed.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;

use anyhow::{Result, ensure};
use effects::ssh::{self, Request};
use model::decision::Outcome;
use model::event::{Event, Shown};
use testkit::demo::site::Site;
use testkit::sshd::{self, Forwarding, Sshd};

use crate::support::record;

/// A request as the record has it: its text with `$n`, and the values.
type Recorded = (String, String);

/// Fails unless the journal has permitted everything that the host executed.
pub(crate) fn verify(site: &Site, sshd: &Sshd) -> Result<()> {
    // The host's logs first: what is in them was decided before.
    let (executed, forwardings, operations) = (sshd.executed()?, sshd.forwardings(), sshd.sftp_operations());
    let mut permitted = permitted(site)?;
    let mut wrong = Vec::new();
    for one in executed {
        let asked = match &one.request {
            sshd::Request::Exec(line) => ssh::exec(line, one.has_terminal)?,
            sshd::Request::Shell => ssh::shell(one.has_terminal),
            sshd::Request::Subsystem(name) => ssh::subsystem(name.as_bytes()),
        };
        take(&mut permitted, &asked, &mut wrong);
    }
    for forwarding in &forwardings {
        if let Forwarding::DirectTcpip(host, port) = forwarding
            && let Some(count) = by_name(&mut permitted, host, *port)
        {
            *count -= 1;
            continue;
        }
        let asked = match forwarding {
            Forwarding::DirectTcpip(host, port) => ssh::direct_tcpip(host, (*port).into(), &[]),
            Forwarding::DirectStreamlocal(path) => ssh::direct_streamlocal(path),
            Forwarding::TcpipForward(address, port) => ssh::tcpip_forward(address, (*port).into()),
            Forwarding::StreamlocalForward(path) => ssh::streamlocal_forward(path),
        };
        take(&mut permitted, &asked, &mut wrong);
    }
    for line in operations {
        let Some((kind, path)) = operation(&line) else { continue };
        let found = permitted.iter_mut().find(|((text, values), count)| {
            **count > 0 && text.starts_with(kind) && values.contains(&format!("{path:?}"))
        });
        match found {
            Some((_, count)) => *count -= 1,
            None => wrong.push(line),
        }
    }
    ensure!(wrong.is_empty(), "executed and not permitted:\n{}\npermitted:\n{permitted:#?}", wrong.join("\n"));
    Ok(())
}

/// The permission to connect to a name that stands for this address: what the host is told is the address.
fn by_name<'a>(permitted: &'a mut BTreeMap<Recorded, usize>, host: &str, port: u16) -> Option<&'a mut usize> {
    let stands_for = |name: &str| {
        (name, port).to_socket_addrs().is_ok_and(|mut found| found.any(|found| found.ip().to_string() == host))
    };
    let behind = format!("\"), Clear(\"{port}\")]");
    let found = permitted.iter_mut().find(|((text, values), count)| {
        let name = values.strip_prefix("[Clear(\"").and_then(|rest| rest.strip_suffix(&behind));
        **count > 0 && text == "direct-tcpip $1 $2" && name.is_some_and(stands_for)
    });
    found.map(|(_, count)| count)
}

fn take(permitted: &mut BTreeMap<Recorded, usize>, asked: &Request, wrong: &mut Vec<String>) {
    match permitted.get_mut(&(asked.statement.clone(), shown(&asked.values))) {
        Some(count) if *count > 0 => *count -= 1,
        _ => wrong.push(asked.shown.clone()),
    }
}

fn shown(values: &[Shown]) -> String {
    format!("{values:?}")
}

/// What changes or reads something, of the lines that `sftp-server` logs.
fn operation(line: &str) -> Option<(&'static str, String)> {
    const KINDS: [(&str, &str); 8] = [
        ("open \"", "sftp:open"),
        ("opendir \"", "sftp:"),
        ("remove name \"", "sftp:remove"),
        ("rmdir name \"", "sftp:"),
        ("mkdir name \"", "sftp:mkdir"),
        ("rename old \"", "sftp:rename"),
        ("posix-rename old \"", "sftp:"),
        ("symlink old \"", "sftp:symlink"),
    ];
    KINDS.iter().find_map(|(begins, kind)| {
        let named = line.strip_prefix(begins)?;
        // Of a symbolic link, what it leads to is only a text.
        let named = if *kind == "sftp:symlink" { named.split_once("\" new \"")?.1 } else { named };
        let path = named.split('"').next()?;
        Some((*kind, path.to_owned()))
    })
}

/// How often each request was permitted.
fn permitted(site: &Site) -> Result<BTreeMap<Recorded, usize>> {
    let (mut texts, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for event in record::events(site)? {
        match event {
            Event::Statement { id, text, .. } => drop(texts.insert(id, text)),
            Event::Decided { statements, values, outcome: Outcome::Allow, .. } => {
                for id in statements {
                    let text: &String =
                        texts.get(&id).ok_or_else(|| anyhow::anyhow!("a statement without its text"))?;
                    *counts.entry((text.clone(), shown(&values))).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    Ok(counts)
}
