//! A real OpenBao server, which `./dev` installs: secrets, and users of a database for a time.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::command::development_directory;
use crate::http;
use crate::keeper::Kept;
use crate::postgres::Postgres;
use crate::random;
use crate::wait::eventually_blocking;

/// How long it may take to start.
const LIMIT: Duration = Duration::from_secs(60);

/// What a service may do there that logs in as AppRole `sluice`: read what is Sluice's, and look after its own leases.
const POLICY: &str = "path \"secret/data/*\" { capabilities = [\"read\"] }\n\
    path \"database/creds/*\" { capabilities = [\"read\"] }\n\
    path \"sys/leases/renew\" { capabilities = [\"update\"] }\n\
    path \"sys/leases/revoke\" { capabilities = [\"update\"] }\n";

/// The server, in memory alone. It ends with the value.
pub struct OpenBao {
    process: Kept,
    directory: tempfile::TempDir,
    address: SocketAddr,
    root: String,
}

impl OpenBao {
    /// Starts it: about a second.
    pub fn start() -> Result<Self> {
        let program = development_directory().join("openbao/bin/bao");
        ensure!(program.exists(), "{} is missing: run ./dev setup", program.display());
        for _ in 0..5 {
            if let Some(bao) = Self::attempt(&program)? {
                return Ok(bao);
            }
        }
        bail!("OpenBao found no port")
    }

    /// It cannot say which port it got: `None` if another program took the one that it was given.
    fn attempt(program: &std::path::Path) -> Result<Option<Self>> {
        let (directory, root) = (tempfile::tempdir()?, random::word()?);
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["server", "-dev", "-dev-no-store-token"]);
        command.arg(format!("-dev-listen-address={address}")).arg(format!("-dev-root-token-id={root}"));
        command.env("HOME", directory.path());
        let process = Kept::spawn(&command, "TERM", None, &directory.path().join("log"))?;
        let bao = Self { process, directory, address, root };
        let started = eventually_blocking(LIMIT, "OpenBao to start", || {
            if bao.log().contains("address already in use") {
                return Ok(Some(false));
            }
            Ok(bao.call("GET", "sys/health", None).is_ok_and(|(status, _)| status == 200).then_some(true))
        });
        Ok(started.with_context(|| bao.log())?.then_some(bao))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token that may do everything.
    pub fn root_token(&self) -> &str {
        &self.root
    }

    /// A call with the root token: the status, and the JSON answer (null if there is none).
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let headers = [("X-Vault-Token", &*self.root)];
        let (status, body) = http::call(self.address, method, &format!("/v1/{path}"), &headers, &body)?;
        Ok((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
    }

    /// A call that has to succeed.
    pub fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.call(method, path, body)?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        Ok(answer)
    }

    /// Lets `sluice` log in by AppRole, with tokens that live so long: the role's id, and a secret id.
    pub fn app_role(&self, ttl: &str, max_ttl: &str) -> Result<(String, String)> {
        self.done("PUT", "sys/policies/acl/sluice", Some(&json!({ "policy": POLICY })))?;
        self.done("POST", "sys/auth/approle", Some(&json!({ "type": "approle" })))?;
        let role = json!({ "token_policies": "sluice", "token_ttl": ttl, "token_max_ttl": max_ttl });
        self.done("POST", "auth/approle/role/sluice", Some(&role))?;
        let role_id = self.done("GET", "auth/approle/role/sluice/role-id", None)?;
        let secret_id = self.done("POST", "auth/approle/role/sluice/secret-id", Some(&json!({})))?;
        Ok((text(&role_id, "/data/role_id")?, text(&secret_id, "/data/secret_id")?))
    }

    /// Has it make users of a server's database, members of these roles, that live so long.
    pub fn database(
        &self,
        postgres: &Postgres,
        database: &str,
        roles: &[&str],
        ttl: &str,
        max_ttl: &str,
    ) -> Result<()> {
        let admin = postgres.login("bao_admin", crate::postgres::Authentication::Scram)?;
        let granted = roles.join(", ");
        let grant = format!("ALTER ROLE bao_admin CREATEROLE; GRANT {granted} TO bao_admin WITH ADMIN OPTION");
        postgres.sql("postgres", &grant)?;
        self.done("POST", "sys/mounts/database", Some(&json!({ "type": "database" })))?;
        let (host, port) = (postgres.host(), postgres.port());
        let connection = json!({
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": "*",
            "connection_url": format!("postgresql://{{{{username}}}}:{{{{password}}}}@{host}:{port}/{database}?sslmode=require"),
            "username": admin.user,
            "password": admin.password,
        });
        self.done("POST", "database/config/server", Some(&connection))?;
        let create = format!(
            "CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' IN ROLE {granted}"
        );
        let role = json!({
            "db_name": "server",
            "creation_statements": [create],
            "revocation_statements": ["DROP ROLE IF EXISTS \"{{name}}\""],
            "default_ttl": ttl,
            "max_ttl": max_ttl,
        });
        self.done("POST", "database/roles/payments", Some(&role)).map(drop)
    }

    /// Stops it in the middle of whatever it does (SIGSTOP): it is there, and does not answer.
    pub fn hang(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn go_on(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        // One that is stopped does not take the signal that ends it.
        let _ = self.go_on();
    }
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {pointer} in {answer}"))?.to_owned())
}
