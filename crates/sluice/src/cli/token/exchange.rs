//! `sluice token exchange`: a short-lived credential of Sluice's for the token that one has.

use serde_json::Value;

use crate::cli::connect::{Connect, read_token};
use crate::cli::failure::Failure;
use crate::cli::{put, put_line, show};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const PASSWORD: &str = "urn:sluice:token-type:database-password";

/// Get a short-lived token or database password for the token that you have
#[derive(clap::Args)]
#[command(
    after_help = "It stands for the same subject as your token, and ends no later. A token that is bound to a key \
    cannot be exchanged here, as this command proves none.\n\nExamples:\n  \
    sluice token exchange --token-file corp.token --target payments > payments.token\n  \
    PGPASSWORD=$(sluice token exchange --token-file corp.token --target payments --password) psql …\n  \
    sluice token exchange --token-file user.token --actor-file agent.token   # the agent on behalf of the user"
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
    actor_file: Option<std::path::PathBuf>,
    /// All of the answer, for programs
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let actor = args.actor_file.as_deref().map(read_token).transpose()?;
    let kind = if args.password { PASSWORD } else { ACCESS_TOKEN };
    let mut fields = vec![
        ("grant_type", GRANT),
        ("subject_token", client.token()),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", kind),
    ];
    if let Some(actor) = &actor {
        fields.extend([("actor_token", actor.expose().as_str()), ("actor_token_type", ACCESS_TOKEN)]);
    }
    fields.extend(args.target.as_deref().map(|target| ("audience", target)));
    let answer = client.form("/token", &fields)?;
    if args.json {
        return put(&show::json(&answer));
    }
    let issued = answer.get("access_token").and_then(Value::as_str);
    put_line(issued.ok_or_else(|| Failure::failed("what answers there is not Sluice's token endpoint"))?)
}
