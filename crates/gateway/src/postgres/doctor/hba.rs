//! Whom a rule of pg_hba.conf admits besides Sluice.

use std::net::IpAddr;

use model::bypass::Severity::{Note, Serious, Warning};

use super::Advised;

const ADVICE: &str = "let pg_hba.conf admit Sluice's address and role alone, and reject all others";

/// A rule, as pg_hba_file_rules has it.
pub(super) struct Rule<'a> {
    line: &'a str,
    kind: &'a str,
    databases: &'a str,
    users: &'a str,
    address: &'a str,
    netmask: &'a str,
    method: &'a str,
}

impl<'a> Rule<'a> {
    /// A row of pg_hba_file_rules.
    pub(super) fn of(row: &'a [String]) -> Option<Self> {
        let [line, kind, databases, users, address, netmask, method] = row else { return None };
        Some(Self { line, kind, databases, users, address, netmask, method })
    }

    /// What is to be said of it, where Sluice comes from `own`.
    pub(super) fn finding(&self, own: Option<IpAddr>, database: &str) -> Option<Advised> {
        if self.method == "reject" || !self.is_about(database) {
            return None;
        }
        let Self { line, users, address, method, .. } = self;
        let is_trusting = *method == "trust";
        if self.kind == "local" {
            let severity = if is_trusting { Warning } else { Note };
            let what = format!("line {line} of pg_hba.conf admits {users} on the target's own machine, by {method}");
            return Some(Advised::new(severity, "pg_hba", what, ADVICE));
        }
        let only = self.only_address();
        if only.is_some() && only == own && !is_trusting {
            return None;
        }
        let is_there = only.is_some_and(|address| address.is_loopback()) && !is_trusting;
        let severity = if is_there { Warning } else { Serious };
        let what = format!("line {line} of pg_hba.conf admits {users} from {address}, by {method}");
        Some(Advised::new(severity, "pg_hba", what, ADVICE))
    }

    /// Whether it may be about this database, or about replication, which is of all.
    fn is_about(&self, database: &str) -> bool {
        let special = ["all", "sameuser", "samerole", "samegroup", "replication"];
        // From version 16 on, a name that begins with a slash is a pattern.
        self.databases.split(',').any(|name| special.contains(&name) || name == database || name.starts_with('/'))
    }

    /// The one address that it admits.
    fn only_address(&self) -> Option<IpAddr> {
        let is_whole = match self.netmask.parse().ok()? {
            IpAddr::V4(mask) => mask.octets() == [255; 4],
            IpAddr::V6(mask) => mask.octets() == [255; 16],
        };
        self.address.parse().ok().filter(|_| is_whole)
    }
}

#[cfg(test)]
mod tests {
    use model::bypass::Severity;

    use super::*;

    fn severity(kind: &str, databases: &str, address: &str, netmask: &str, method: &str) -> Option<Severity> {
        let row = ["7", kind, databases, "all", address, netmask, method].map(str::to_owned);
        let own = Some("10.0.0.7".parse().unwrap());
        Rule::of(&row).unwrap().finding(own, "payments").map(|found| found.finding.severity)
    }

    #[test]
    fn a_rule_that_admits_sluice_alone_is_none() {
        let all = "255.255.255.255";
        let cases = [
            (severity("hostssl", "payments", "10.0.0.7", all, "scram-sha-256"), None),
            (severity("hostssl", "all", "10.0.0.7", all, "trust"), Some(Serious)),
            (severity("hostssl", "all", "10.0.0.8", all, "scram-sha-256"), Some(Serious)),
            (severity("host", "all", "10.0.0.0", "255.255.255.0", "scram-sha-256"), Some(Serious)),
            (severity("host", "all", "all", "", "cert"), Some(Serious)),
            (severity("host", "other", "all", "", "trust"), None),
            (severity("host", "other,payments", "samenet", "", "md5"), Some(Serious)),
            (severity("host", "replication", "all", "", "scram-sha-256"), Some(Serious)),
            (severity("host", "all", "all", "", "reject"), None),
            (severity("host", "all", "127.0.0.1", all, "scram-sha-256"), Some(Warning)),
            (severity("host", "all", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ident"), Some(Warning)),
            (severity("local", "all", "", "", "peer"), Some(Note)),
            (severity("local", "all", "", "", "trust"), Some(Warning)),
        ];
        for (number, (found, wanted)) in cases.into_iter().enumerate() {
            assert_eq!(found, wanted, "case {number}");
        }
    }
}
