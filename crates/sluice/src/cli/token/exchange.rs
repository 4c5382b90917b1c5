//! `sluice token exchange`: a short-lived credential of Sluice's for the token or the SAML assertion that one has.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::secret::Secret;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::connect::{Connect, read_token};
use crate::cli::failure::Failure;
use crate::cli::{put, put_line, show};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const SAML: &str = "urn:ietf:params:oauth:grant-type:saml2-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const PASSWORD: &str = "urn:sluice:token-type:database-password";

/// Get a short-lived token or database password for the token or the SAML assertion that you have
#[derive(clap::Args)]
#[command(
    after_help = "It stands for the same subject as your token, and ends no later. A token that is bound to a key \
    cannot be exchanged here, as this command proves none.\n\nExamples:\n  \
    sluice token exchange --token-file corp.token --target payments > payments.token\n  \
    PGPASSWORD=$(sluice token exchange --token-file corp.token --target payments --password) psql …\n  \
    sluice token exchange --token-file user.token --actor-file agent.token   # the agent on behalf of the user\n  \
    sluice token exchange --url https://sluice.example.com:7632 --saml assertion.xml > etl.token"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    connect: Connect,
    /// The only target at which it is to be good
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// A short password for clients that can hold no token; it is for one target
    #[arg(long, requires = "target")]
    password: bool,
    /// A file with the token of whoever acts on behalf of your token's subject
    #[arg(long, value_name = "FILE")]
    actor_file: Option<PathBuf>,
    /// A file with the SAML assertion, or the response with it, that is shown in place of a token; it is used up
    #[arg(long, value_name = "FILE")]
    saml: Option<PathBuf>,
    /// All of the answer, for programs
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let actor = args.actor_file.as_deref().map(read_token).transpose()?;
    let Some(file) = &args.saml else {
        let client = args.connect.client()?;
        return give(args, &exchange(args, &client, client.token(), actor.as_ref())?);
    };
    let client = args.connect.client_as_nobody()?;
    let answer = redeem(args, &client, file)?;
    if !args.password && actor.is_none() {
        return give(args, &answer);
    }
    give(args, &exchange(args, &client, issued(&answer)?, actor.as_ref())?)
}

/// A token of Sluice's for a SAML assertion (RFC 7522).
fn redeem(args: &Args, client: &Client, file: &Path) -> Result<Value, Failure> {
    let assertion = std::fs::read(file).map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
    let assertion = Secret::new(URL_SAFE_NO_PAD.encode(assertion));
    let mut fields = vec![("grant_type", SAML), ("assertion", assertion.expose().as_str())];
    fields.extend(args.target.as_deref().map(|target| ("audience", target)));
    client.form("/token", &fields)
}

fn exchange(args: &Args, client: &Client, token: &str, actor: Option<&Secret<String>>) -> Result<Value, Failure> {
    let kind = if args.password { PASSWORD } else { ACCESS_TOKEN };
    let mut fields = vec![
        ("grant_type", GRANT),
        ("subject_token", token),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", kind),
    ];
    if let Some(actor) = actor {
        fields.extend([("actor_token", actor.expose().as_str()), ("actor_token_type", ACCESS_TOKEN)]);
    }
    fields.extend(args.target.as_deref().map(|target| ("audience", target)));
    client.form("/token", &fields)
}

fn give(args: &Args, answer: &Value) -> Result<(), Failure> {
    if args.json { put(&show::json(answer)) } else { put_line(issued(answer)?) }
}

fn issued(answer: &Value) -> Result<&str, Failure> {
    let issued = answer.get("access_token").and_then(Value::as_str);
    issued.ok_or_else(|| Failure::failed("what answers there is not Sluice's token endpoint"))
}
