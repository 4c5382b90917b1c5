//! OpenBao as an issuer: a machine logs in by AppRole and gets an ID token with its groups.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http;
use crate::openbao::OpenBao;

/// What its tokens are for.
pub const AUDIENCE: &str = "sluice";

const POLICY: &str = "path \"identity/oidc/token/sluice\" { capabilities = [\"read\"] }\n";

/// An issuer inside a server.
pub struct Issuer<'a> {
    bao: &'a OpenBao,
    role_id: String,
    secret_id: String,
    entity: String,
}

impl<'a> Issuer<'a> {
    /// Makes one, with a machine `etl-job` that is in these groups.
    pub fn new(bao: &'a OpenBao, groups: &[&str]) -> Result<Self> {
        bao.done("POST", "identity/oidc/config", Some(&json!({ "issuer": bao.url() })))?;
        let key = json!({ "allowed_client_ids": "*", "algorithm": "ES256", "verification_ttl": "1h" });
        bao.done("POST", "identity/oidc/key/sluice", Some(&key))?;
        let template = r#"{"groups": {{identity.entity.groups.names}}}"#;
        let role = json!({ "key": "sluice", "client_id": AUDIENCE, "ttl": "5m", "template": template });
        bao.done("POST", "identity/oidc/role/sluice", Some(&role))?;
        bao.done("PUT", "sys/policies/acl/identity", Some(&json!({ "policy": POLICY })))?;
        bao.done("POST", "sys/auth/machines", Some(&json!({ "type": "approle" })))?;
        bao.done("POST", "auth/machines/role/etl-job", Some(&json!({ "token_policies": "identity" })))?;
        let role_id = text(&bao.done("GET", "auth/machines/role/etl-job/role-id", None)?, "/data/role_id")?;
        let secret = bao.done("POST", "auth/machines/role/etl-job/secret-id", Some(&json!({})))?;
        let secret_id = text(&secret, "/data/secret_id")?;
        let entity = entity(bao, &role_id)?;
        for group in groups {
            bao.done("POST", "identity/group", Some(&json!({ "name": group, "member_entity_ids": [entity] })))?;
        }
        Ok(Self { bao, role_id, secret_id, entity })
    }

    /// The `iss` of its tokens.
    pub fn url(&self) -> String {
        format!("{}/v1/identity/oidc", self.bao.url())
    }

    /// What its tokens call the machine: their `sub`.
    pub fn subject(&self) -> &str {
        &self.entity
    }

    /// Logs in and gets a token.
    pub fn token(&self) -> Result<String> {
        let address = self.bao.url().trim_start_matches("http://").parse()?;
        let login = json!({ "role_id": self.role_id, "secret_id": self.secret_id }).to_string();
        let (status, answer) = http::call(address, "POST", "/v1/auth/machines/login", &[], &login)?;
        ensure!(status == 200, "{status}: {answer}");
        let client = text(&serde_json::from_str(&answer)?, "/auth/client_token")?;
        let headers = [("X-Vault-Token", client.as_str())];
        let (status, answer) = http::call(address, "GET", "/v1/identity/oidc/token/sluice", &headers, "")?;
        ensure!(status == 200, "{status}: {answer}");
        text(&serde_json::from_str(&answer)?, "/data/token")
    }

    /// Signs with the next key from now on.
    pub fn rotate_keys(&self) -> Result<()> {
        self.bao.done("POST", "identity/oidc/key/sluice/rotate", Some(&json!({}))).map(drop)
    }
}

/// The entity that the role logs in as.
fn entity(bao: &OpenBao, role_id: &str) -> Result<String> {
    let made = bao.done("POST", "identity/entity", Some(&json!({ "name": "etl-job" })))?;
    let entity = text(&made, "/data/id")?;
    let mounts = bao.done("GET", "sys/auth", None)?;
    let accessor = text(&mounts, "/machines~1/accessor").or_else(|_| text(&mounts, "/data/machines~1/accessor"))?;
    let alias = json!({ "name": role_id, "canonical_id": entity, "mount_accessor": accessor });
    bao.done("POST", "identity/entity-alias", Some(&alias))?;
    Ok(entity)
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {pointer} in the answer"))?.to_owned())
}
