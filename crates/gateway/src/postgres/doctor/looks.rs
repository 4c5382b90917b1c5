//! What is looked at in the database: each look is a query that changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use effects::postgres::settings;
use model::bypass::Severity::{Serious, Warning};
use model::effect::SettingClass;
use policy::OwnStatement;

use super::super::server::Server;
use super::super::upstream::{ConnectError, OwnConnection};
use super::{Advised, hba};

/// The versions that Sluice is tested with (`./dev conformance versions`).
const VERSIONS: std::ops::RangeInclusive<u32> = 13..=18;

/// How long a session may take from its login until Sluice knows which server process it has.
const SETTLE: Duration = Duration::from_millis(300);

/// The most rows that one look takes.
const MOST_ROWS: usize = 1000;

/// The rows of an answer, null as an empty text.
type Rows = Vec<Vec<String>>;

/// One examination.
pub(super) struct Look<'a> {
    pub(super) connection: &'a mut OwnConnection,
    pub(super) findings: &'a mut Vec<Advised>,
    pub(super) unchecked: &'a mut Vec<&'static str>,
}

impl Look<'_> {
    /// The rows of a query; `None`, with a word, if the target does not let it be asked.
    async fn rows(&mut self, text: &str, otherwise: &'static str) -> Result<Option<Rows>, ConnectError> {
        let mut rows = Rows::new();
        let mut take = |row: &[Option<&str>]| {
            if rows.len() < MOST_ROWS {
                rows.push(row.iter().map(|value| value.unwrap_or_default().to_owned()).collect());
            }
            Ok(())
        };
        match self.connection.query(OwnStatement::Doctor, text, &mut take).await {
            Ok(()) => Ok(Some(rows)),
            Err(ConnectError::Refused(_)) => {
                self.unchecked.push(otherwise);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn find(&mut self, severity: model::bypass::Severity, check: &'static str, what: String, advice: &'static str) {
        self.findings.push(Advised::new(severity, check, what, advice));
    }

    pub(super) async fn at_the_server(&mut self) -> Result<(), ConnectError> {
        let text = "SELECT name, setting FROM pg_catalog.pg_settings \
            WHERE name IN ('server_version_num', 'password_encryption')";
        let rows = self.rows(text, "the server's version and settings").await?.unwrap_or_default();
        for row in rows {
            let [name, value] = row.as_slice() else { continue };
            match name.as_str() {
                "password_encryption" if value == "md5" => {
                    let advice = "set password_encryption = 'scram-sha-256', and set each password anew";
                    self.find(Warning, "md5", "new passwords are kept as md5".to_owned(), advice);
                }
                "server_version_num" => {
                    let major = value.parse::<u32>().map_or(0, |number| number / 10_000);
                    if !VERSIONS.contains(&major) {
                        let what = format!("the server's version is {major}; Sluice is tested with 13 to 18");
                        self.find(Warning, "version", what, "run a version that Sluice is tested with");
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the roles may do that statements are run as; returns their names, as a list of literals.
    pub(super) async fn at_the_credential(&mut self, server: &Server) -> Result<String, ConnectError> {
        let ephemeral = server.postgres.credential.ephemeral_role.as_ref();
        let acting = match ephemeral {
            None => "CURRENT_USER::pg_catalog.text".to_owned(),
            Some(role) => role.in_role.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", "),
        };
        let text = format!(
            "SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolreplication, r.rolcreaterole, r.rolcreatedb \
             FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER OR EXISTS (SELECT FROM pg_catalog.pg_roles a \
             WHERE a.rolname::pg_catalog.text IN ({acting}) AND pg_catalog.pg_has_role(a.oid, r.oid, 'MEMBER')) \
             ORDER BY r.rolname = CURRENT_USER DESC, r.rolsuper DESC, r.rolname"
        );
        let rows = self.rows(&text, "what the target's user may do").await?.unwrap_or_default();
        for (row, is_first) in rows.iter().zip(std::iter::once(true).chain(std::iter::repeat(false))) {
            // A superuser is a member of all: the others say nothing more.
            if self.at_role(row, is_first && ephemeral.is_some()) {
                return Ok(acting);
            }
        }
        self.at_tables(&acting).await?;
        Ok(acting)
    }

    /// What one role may do. It says whether it is a superuser.
    fn at_role(&mut self, row: &[String], makes_roles: bool) -> bool {
        let [name, superuser, bypass, replication, createrole, createdb] = row else { return false };
        let is = |flag: &String| flag == "t";
        let advice = "log in as a role that may do what callers may do through Sluice, and nothing more";
        if is(superuser) {
            let what = format!("statements can be run as {name:?}, a superuser, whom the target refuses nothing");
            self.find(Serious, "superuser", what, advice);
            return true;
        }
        let attributes = [
            (is(bypass), Serious, "bypassrls", "row security does not hold for it"),
            (is(replication), Serious, "replication", "it can copy all there is without a statement"),
            (is(createrole) && !makes_roles, Serious, "createrole", "it can make itself a way in"),
            (is(createdb), Warning, "createdb", "it can make databases"),
        ];
        for (has, severity, check, why) in attributes {
            if has {
                self.find(severity, check, format!("statements can be run as {name:?}: {why}"), advice);
            }
        }
        let predefined = match name.as_str() {
            "pg_execute_server_program" | "pg_read_server_files" | "pg_write_server_files" => Some(Serious),
            "pg_read_all_data" | "pg_write_all_data" | "pg_signal_backend" | "pg_create_subscription" => Some(Warning),
            _ => None,
        };
        if let Some(severity) = predefined {
            let what = format!("the target's user is a member of {name}");
            self.find(severity, "membership", what, "revoke it, and grant what is needed instead");
        }
        false
    }

    async fn at_tables(&mut self, acting: &str) -> Result<(), ConnectError> {
        let text = format!(
            "SELECT pg_catalog.count(*), pg_catalog.min(c.oid::pg_catalog.regclass::pg_catalog.text) \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
             AND EXISTS (SELECT FROM pg_catalog.pg_roles a WHERE a.rolname::pg_catalog.text IN ({acting}) \
             AND pg_catalog.pg_has_role(a.oid, c.relowner, 'MEMBER'))"
        );
        let rows = self.rows(&text, "whose the tables are").await?.unwrap_or_default();
        let Some([count, first]) = rows.first().map(Vec::as_slice) else { return Ok(()) };
        if count != "0" {
            let what = format!("the target's user owns {count} tables and views, such as {first}");
            let advice = "give them to another role, and grant to Sluice's what callers may do: row security does not hold \
                for owners, and they can drop";
            self.find(Warning, "owner", what, advice);
        }
        Ok(())
    }

    /// Settings that sessions begin with, and that change what a text means or how the server works.
    pub(super) async fn at_settings(&mut self, acting: &str) -> Result<(), ConnectError> {
        let text = format!(
            "SELECT DISTINCT pg_catalog.split_part(c, '=', 1) \
             FROM pg_catalog.pg_db_role_setting s, LATERAL pg_catalog.unnest(s.setconfig) c \
             WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database \
             WHERE datname = pg_catalog.current_database())) AND (s.setrole = 0 OR s.setrole IN \
             (SELECT oid FROM pg_catalog.pg_roles WHERE rolname::pg_catalog.text IN ({acting})))"
        );
        let rows = self.rows(&text, "what sessions begin with").await?.unwrap_or_default();
        for name in rows.iter().flatten().filter(|name| settings::classify(name) != SettingClass::Benign) {
            let what = format!("sessions begin with a {name} of the role or the database (ALTER … SET)");
            let advice = "reset it: what a statement means should not depend on it";
            self.find(Warning, "setting", what, advice);
        }
        Ok(())
    }

    /// Functions that run with statements which do not name them.
    pub(super) async fn at_triggers(&mut self) -> Result<(), ConnectError> {
        let text = "SELECT t.evtname, p.proname FROM pg_catalog.pg_event_trigger t \
            JOIN pg_catalog.pg_proc p ON p.oid = t.evtfoid WHERE t.evtenabled <> 'D' ORDER BY 1";
        for row in self.rows(text, "event triggers").await?.unwrap_or_default() {
            let [name, function] = row.as_slice() else { continue };
            let what = format!("the event trigger {name:?} runs {function:?} with statements that do not name it");
            self.find(Warning, "event_trigger", what, "drop it, or see to it that it does what you would permit");
        }
        Ok(())
    }

    /// Whoever follows the database's changes.
    pub(super) async fn at_slots(&mut self) -> Result<(), ConnectError> {
        let text = "SELECT slot_name FROM pg_catalog.pg_replication_slots \
            WHERE database = pg_catalog.current_database() ORDER BY 1";
        for name in self.rows(text, "replication slots").await?.unwrap_or_default().iter().flatten() {
            let what = format!("the changes of the database can be read from the replication slot {name:?}");
            self.find(Warning, "replication_slot", what, "drop it if nobody needs it");
        }
        Ok(())
    }

    pub(super) async fn at_who_may_log_in(&mut self, database: &str) -> Result<(), ConnectError> {
        let own = "SELECT pg_catalog.host(pg_catalog.inet_client_addr())";
        let own = self.rows(own, "Sluice's own address").await?.unwrap_or_default();
        let own = own.first().and_then(|row| row.first()).and_then(|address| address.parse().ok());
        let text = "SELECT line_number, type, pg_catalog.array_to_string(database, ','), \
            pg_catalog.array_to_string(user_name, ','), address, netmask, auth_method \
            FROM pg_catalog.pg_hba_file_rules WHERE error IS NULL ORDER BY line_number";
        let otherwise =
            "pg_hba.conf: grant EXECUTE on pg_hba_file_rules() and SELECT on pg_hba_file_rules to be told of it";
        for row in self.rows(text, otherwise).await?.unwrap_or_default() {
            self.findings.extend(hba::Rule::of(&row).and_then(|rule| rule.finding(own, database)));
        }
        Ok(())
    }

    /// Sessions that are not Sluice's. One that has just logged in is looked at again, when Sluice knows its own.
    pub(super) async fn at_sessions(&mut self, own: impl Fn() -> BTreeSet<u32>) -> Result<(), ConnectError> {
        let text = "SELECT pid, usename, application_name, coalesce(pg_catalog.host(client_addr), '') \
            FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() \
            AND usename IS NOT NULL AND coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')";
        let before: BTreeSet<String> = self.foreign(text, &own).await?.into_keys().collect();
        if before.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(SETTLE).await;
        let mut groups: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for (pid, who) in self.foreign(text, &own).await? {
            if before.contains(&pid) {
                *groups.entry(who).or_default() += 1;
            }
        }
        for (who, count) in groups {
            let [user, application, address] = who.as_slice() else { continue };
            let from = if address.is_empty() { "a place that is not shown" } else { address };
            let what =
                format!("{count} sessions of {user:?} ({application:?}) from {from} did not come through Sluice");
            let advice = "let them come through Sluice, and pg_hba.conf admit nobody else";
            self.find(Serious, "session", what, advice);
        }
        Ok(())
    }

    async fn foreign(
        &mut self,
        text: &str,
        own: &impl Fn() -> BTreeSet<u32>,
    ) -> Result<BTreeMap<String, Vec<String>>, ConnectError> {
        let rows = self.rows(text, "who is connected").await?.unwrap_or_default();
        let own = own();
        let is_own = |pid: &String| pid.parse().is_ok_and(|pid| own.contains(&pid));
        let sessions = rows.into_iter().filter_map(|row| {
            let (pid, who) = row.split_first()?;
            (!is_own(pid)).then(|| (pid.clone(), who.to_vec()))
        });
        Ok(sessions.collect())
    }
}

/// A literal, whatever standard_conforming_strings says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
