//! What Sluice says to make and to drop the role of a session.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::id::SessionId;
use model::secret::Secret;
use policy::OwnStatement;
use store::config::{EphemeralRole, OwnedObjects};

use super::super::upstream::{ConnectError, OwnConnection};
use crate::clock::{self, NoRandomness};

/// What the names of all of them begin with.
pub(super) const PREFIX: &str = "sluice_";

/// How long the password is good for logging in, which is done at once.
const LOGIN_WITHIN: &str = "1 minute";

/// How often SCRAM hashes, as PostgreSQL does unless it is told otherwise (SCRAM_SHA_256_DEFAULT_ITERATIONS).
const ITERATIONS: NonZeroU32 = match NonZeroU32::new(4096) {
    Some(iterations) => iterations,
    None => NonZeroU32::MIN,
};

/// The name of a session's role.
pub(super) fn name(session: SessionId) -> String {
    format!("{PREFIX}{session}")
}

/// The session whose role has this name.
pub(super) fn session(name: &str) -> Option<SessionId> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// A new password: 256 random bits, as text that SASLprep leaves alone.
pub(super) fn password() -> Result<Secret<String>, NoRandomness> {
    Ok(Secret::new(STANDARD.encode(clock::random::<32>()?)))
}

/// Until when the role may log in, by the target's own clock.
pub(super) async fn until(connection: &mut OwnConnection) -> Result<String, ConnectError> {
    let text = format!("SELECT (pg_catalog.now() + interval '{LOGIN_WITHIN}')::pg_catalog.text");
    let mut until = String::new();
    let mut take = |row: &[Option<&str>]| {
        until = row.first().copied().flatten().unwrap_or_default().to_owned();
        Ok(())
    };
    connection.query(OwnStatement::CreateRole, &text, &mut take).await?;
    Ok(until)
}

/// Makes a role that can do nothing but what it is a member of, and log in once.
pub(super) fn create(
    name: &str,
    password: &Secret<String>,
    until: &str,
    wanted: &EphemeralRole,
) -> Result<String, NoRandomness> {
    let verifier = verifier(password, &clock::random()?);
    let in_role: Vec<String> = wanted.in_role.iter().map(|role| identifier(role)).collect();
    Ok(format!(
        "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 1 \
         PASSWORD '{verifier}' VALID UNTIL {} IN ROLE {}",
        identifier(name),
        literal(until),
        in_role.join(", ")
    ))
}

/// Whether there is such a role.
pub(super) async fn exists(connection: &mut OwnConnection, name: &str) -> Result<bool, ConnectError> {
    let text = format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {}", literal(name));
    any(connection, &text).await
}

/// Whether a server process is still logged in as it.
pub(super) async fn is_connected(connection: &mut OwnConnection, name: &str) -> Result<bool, ConnectError> {
    let text = format!("SELECT 1 FROM pg_catalog.pg_stat_activity WHERE usename = {}", literal(name));
    any(connection, &text).await
}

async fn any(connection: &mut OwnConnection, text: &str) -> Result<bool, ConnectError> {
    let mut found = false;
    let mut take = |_: &[Option<&str>]| {
        found = true;
        Ok(())
    };
    connection.query(OwnStatement::DropRole, text, &mut take).await?;
    Ok(found)
}

/// Drops a role and what becomes of what it owns. Only who is a member of a role may give away what it owns.
pub(super) fn removal(name: &str, owned: &OwnedObjects) -> Vec<String> {
    let role = identifier(name);
    let mut texts = vec![format!("GRANT {role} TO CURRENT_USER")];
    if let OwnedObjects::Reassign(to) = owned {
        texts.push(format!("REASSIGN OWNED BY {role} TO {}", identifier(to)));
    }
    texts.push(format!("DROP OWNED BY {role}"));
    texts.push(format!("DROP ROLE {role}"));
    texts
}

pub(in crate::postgres) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A literal, whatever standard_conforming_strings says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// What a server keeps of a password (RFC 5803, and RFC 5802 section 3).
fn verifier(password: &Secret<String>, salt: &[u8; 16]) -> String {
    let mut salted = [0; digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, password.expose().as_bytes(), &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = hmac::sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password and the salt of the example in RFC 7677, and what PostgreSQL keeps of them.
    #[test]
    fn the_verifier_is_what_a_server_keeps() {
        let salt = *b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
        let kept = verifier(&Secret::new("pencil".into()), &salt);
        assert_eq!(
            kept,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn names_are_quoted_and_lead_back_to_their_session() {
        let session = SessionId::from_bits(7);
        assert_eq!(super::session(&name(session)), Some(session));
        assert_eq!(super::session("sluice_app"), None);
        let wanted = EphemeralRole { in_role: vec!["a\"b".into()], owned: OwnedObjects::Drop };
        let text = create("sluice_x", &Secret::new("p".into()), "it's\\", &wanted).unwrap();
        assert!(text.contains(r#"IN ROLE "a""b""#) && text.contains(r"VALID UNTIL E'it\'s\\'"), "{text}");
    }
}
