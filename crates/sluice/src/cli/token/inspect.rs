//! `sluice token inspect`: which check a token passes and which it fails, as `serve` would check it.

use std::io::Read;
use std::path::{Path, PathBuf};

use gateway::node;
use identity::{Check, IdentityError, Inspection, Outcome, Proven};
use model::secret::Secret;
use model::time::Timestamp;
use serde_json::{Value, json};
use store::config::Config;

use crate::cli::failure::Failure;
use crate::cli::paths::ConfigArg;
use crate::cli::{put, show};

/// The longest token that is read from a file, with room for a new line.
const MAX_FILE: u64 = 128 * 1024;

/// Say which check a token passes, and which it fails
#[derive(clap::Args)]
#[command(
    after_help = "It is checked as a login would be, with the issuers of the configuration, whose keys are fetched \
    as `serve` fetches them; an opaque token's issuer is asked about it. No Sluice has to run, and no revocation is looked up. What the token says is \
    shown, its signature never. A token that is bound to a key fails there, as nothing is proven here.\n\n\
    Exit codes: 0 it would be accepted, 1 it would not.\n\nExamples:\n  \
    sluice token inspect --config sluice.toml order-service.token\n  \
    kubectl create token checkout --audience sluice | sluice token inspect --json -"
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The file that has the token, or - for standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.config.load()?;
    let token = read(&args.file)?;
    let token = token.expose().trim();
    let issuers = node::inspecting_issuers(&config).map_err(Failure::failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let (found, unfetched) = runtime.block_on(issuers.inspect(token, &Proven::NOTHING));
    put(&if args.json { show::json(&as_json(&found, unfetched.as_deref())) } else { text(&found, &config) })?;
    match &found.result {
        Ok(_) => Ok(()),
        Err(error) => {
            let hint = unfetched.or_else(|| hint(error, &config)).map(|hint| format!("\n{hint}")).unwrap_or_default();
            Err(Failure::Failed(format!("the token is refused: {error}{hint}")))
        }
    }
}

fn read(file: &Path) -> Result<Secret<String>, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", file.display()));
    // Never grown, so that no copy of it stays behind on the heap.
    let mut text = String::with_capacity(usize::try_from(MAX_FILE).unwrap_or(usize::MAX));
    let source: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(file).map_err(failed)?),
    };
    source.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(Secret::new(text))
}

/// The checks, what the token says, and whom it names.
fn text(found: &Inspection, config: &Config) -> String {
    let mut rows: Vec<Vec<String>> = found.checks.iter().map(|(check, how)| row(*check, *how, found, config)).collect();
    rows.extend(found.header.iter().flat_map(|header| said("header", header)));
    rows.extend(found.claims.iter().flat_map(|claims| said("claim", claims)));
    if let Ok(subject) = &found.result {
        let groups = subject.groups.join(", ");
        let behalf: Vec<String> = subject.on_behalf_of.iter().map(ToString::to_string).collect();
        rows.push(vec!["subject".into(), "names".into(), subject.key.to_string()]);
        rows.push(vec!["subject".into(), "kind".into(), format!("{:?}", subject.kind).to_lowercase()]);
        rows.push(vec!["subject".into(), "groups".into(), if groups.is_empty() { "none".into() } else { groups }]);
        rows.push(vec!["subject".into(), "until".into(), show::instant(subject.expires_at)]);
        if !behalf.is_empty() {
            rows.push(vec!["subject".into(), "on behalf of".into(), behalf.join(", ")]);
        }
    }
    show::table(&["", "", ""], &rows).trim_start().to_owned()
}

fn row(check: Check, how: Outcome, found: &Inspection, config: &Config) -> Vec<String> {
    let (word, about) = match how {
        Outcome::Passed => ("passed", passed(check, found, config)),
        Outcome::Failed => ("FAILED", found.result.as_ref().err().map(ToString::to_string).unwrap_or_default()),
        Outcome::NotReached => ("-", String::from("not reached")),
    };
    vec![word.to_owned(), check.name().to_owned(), about]
}

/// What there is to say of a check that was passed.
fn passed(check: Check, found: &Inspection, config: &Config) -> String {
    let said = |of: &Option<Value>, name: &str| {
        let value = of.as_ref().and_then(|said| said.get(name));
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
    };
    match check {
        Check::Issuer => {
            let url = said(&found.claims, "iss");
            let issuer = config.issuers.iter().map(|issuer| &issuer.issuer).find(|issuer| *issuer.url == *url);
            issuer.map_or(url, |issuer| format!("{}, profile {}", issuer.alias, issuer.profile.name()))
        }
        Check::Key => format!("{} {}", said(&found.header, "alg"), said(&found.header, "kid")),
        Check::Audience => said(&found.claims, "aud"),
        _ => String::new(),
    }
}

/// What a token or an answer says, a line each.
fn said(what: &str, values: &Value) -> Vec<Vec<String>> {
    let values = values.as_object().into_iter().flatten();
    let shown = |(name, value): (&String, &Value)| {
        let moment = value.as_u64().filter(|_| matches!(name.as_str(), "exp" | "iat" | "nbf" | "auth_time"));
        let value = match moment {
            Some(seconds) => format!("{value}  {}", show::instant(Timestamp::from_seconds(seconds))),
            None => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        };
        vec![what.to_owned(), name.clone(), value]
    };
    values.map(shown).collect()
}

/// What to look at.
fn hint(error: &IdentityError, config: &Config) -> Option<String> {
    let aliases = || config.issuers.iter().map(|issuer| &*issuer.issuer.url).collect::<Vec<_>>().join(", ");
    let hint = match error {
        IdentityError::NotCompact => "an opaque token needs an issuer with [issuer.introspection]".to_owned(),
        IdentityError::UnknownIssuer(_) => format!("the configuration has: {}", aliases()),
        IdentityError::UnknownKey { .. } => "the issuer does not publish that key (any more)".to_owned(),
        IdentityError::Audience => "write its `aud` into the issuer's `audience`, or ask for another token".to_owned(),
        IdentityError::Lifetime(_) => "see `max_lifetime` of the issuer".to_owned(),
        IdentityError::NotYet(_) => "see `leeway` of the issuer, and the clocks".to_owned(),
        IdentityError::Kind(_) => "see `profile` of the issuer".to_owned(),
        _ => return None,
    };
    Some(hint)
}

fn as_json(found: &Inspection, unfetched: Option<&str>) -> Value {
    let checks = found.checks.iter().map(|(check, how)| {
        let how = match how {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::NotReached => "not reached",
        };
        json!({ "check": check.name(), "outcome": how })
    });
    json!({
        "accepted": found.result.is_ok(),
        "reason": found.result.as_ref().err().map(ToString::to_string),
        "keys": unfetched,
        "checks": checks.collect::<Vec<_>>(),
        "header": found.header,
        "claims": found.claims,
        "subject": found.result.as_ref().ok(),
    })
}
