//! `sluice login` and `sluice logout`

use std::process::Stdio;
use std::time::SystemTime;

use connect::issuer::{Granted, IssuerError};
use connect::login::kept::Account;
use connect::login::{browser, device};
use connect::source::client::Client;

use super::account::{self, AccountArgs};
use super::failure::Failure;
use super::{put, show, tell};

/// The scope that is asked for unless another one is.
const SCOPE: &str = "openid";

/// Sign in at your issuer: in a browser here, or with a code on any device
#[derive(clap::Args)]
#[command(
    after_help = "What is kept is in $XDG_STATE_HOME/sluice/login.json (~/.local/state), which only you can read. \
    Where the issuer gives a refresh token (often with the scope offline_access), the login renews itself.\n\n\
    Examples:\n  sluice login --issuer https://issuer.corp --client-id sluice-cli\n  sluice login --device\n  \
    sluice whoami --url https://sluice.corp:7632"
)]
pub(super) struct LoginArgs {
    #[command(flatten)]
    account: AccountArgs,
    /// Show a code to type in on any device; so it is where there is no display
    #[arg(long, conflicts_with = "browser")]
    device: bool,
    /// Sign in by a browser on this machine; so it is where there is a display
    #[arg(long)]
    browser: bool,
    /// Show the address only, and open no browser
    #[arg(long)]
    no_open: bool,
}

/// Sign out, here and at the issuer
#[derive(clap::Args)]
pub(super) struct LogoutArgs {}

pub(super) fn login(args: &LoginArgs) -> Result<(), Failure> {
    let login = account::login()?;
    // Whoever signs in again means the same issuer.
    let account = account(&args.account, login.account().unwrap_or_default())?;
    let client = account.client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let by_device = args.device || !(args.browser || has_display());
    let granted = runtime.block_on(async {
        if by_device {
            by_device_code(&client, &account).await
        } else {
            by_browser(&client, &account, args.no_open).await
        }
    });
    let granted = granted.map_err(|error| account::failure(&error))?;
    let renews = if granted.refresh_token.is_some() { ", and renews itself" } else { "" };
    let until = granted.token.expires_at().map(|end| {
        let left = end.duration_since(SystemTime::now()).unwrap_or_default().as_secs();
        format!("; it lasts for {} min{renews}", left.div_ceil(60))
    });
    login.keep(account, &granted).map_err(|error| account::failure(&error))?;
    tell(&format!("signed in{}", until.unwrap_or_default()));
    Ok(())
}

fn account(args: &AccountArgs, kept: Option<Account>) -> Result<Account, Failure> {
    let said_otherwise = |kept: &Account| args.issuer.as_ref().is_some_and(|issuer| *issuer != kept.issuer);
    let kept = kept.filter(|kept| !said_otherwise(kept));
    let issuer = args.issuer.clone().or_else(|| Some(kept.as_ref()?.issuer.clone()));
    let client_id = args.client_id.clone().or_else(|| Some(kept.as_ref()?.client_id.clone()));
    let (Some(issuer), Some(client_id)) = (issuer, client_id) else {
        return Err(Failure::Usage(String::from("say where to sign in: --issuer URL and --client-id ID")));
    };
    let mut wanted = args.wanted(&kept.as_ref().map(|kept| kept.wanted.clone()).unwrap_or_default());
    wanted.scope.get_or_insert_with(|| SCOPE.to_owned());
    let file = |said: &Option<std::path::PathBuf>, kept: Option<std::path::PathBuf>| {
        let absolute = said.as_ref().map(std::path::absolute).transpose().map_err(Failure::failed)?;
        Ok::<_, Failure>(absolute.or(kept))
    };
    let (kept_secret, kept_ca) = kept.map(|kept| (kept.client_secret_file, kept.ca_file)).unwrap_or_default();
    Ok(Account {
        client_secret_file: file(&args.client_secret_file, kept_secret)?,
        ca_file: file(&args.issuer_ca_file, kept_ca)?,
        issuer,
        client_id,
        wanted,
    })
}

async fn by_device_code(client: &Client, account: &Account) -> Result<Granted, IssuerError> {
    device::sign_in(client, &account.wanted, |shown| {
        let uri = show::safe(&shown.verification_uri);
        tell(&format!("Open {uri}\nand type the code: {}", show::safe(&shown.user_code)));
        if let Some(complete) = &shown.verification_uri_complete {
            tell(&format!("or open {} and compare the code.", show::safe(complete)));
        }
        tell("Sign in only where you opened this yourself: whoever has the code typed in elsewhere signs in as that person.");
    })
    .await
}

async fn by_browser(client: &Client, account: &Account, no_open: bool) -> Result<Granted, IssuerError> {
    browser::sign_in(client, &account.wanted, |url| {
        tell(&format!("Sign in at:\n{}", show::safe(url)));
        if !no_open {
            open(url);
        }
    })
    .await
}

/// Whether a browser could show itself here.
fn has_display() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(target_os = "macos") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") || is_set("BROWSER")
}

/// Opens a browser, if there is one: the address has been shown in any case.
fn open(url: &str) {
    let default = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let browser = std::env::var_os("BROWSER").filter(|name| !name.is_empty()).unwrap_or_else(|| default.into());
    let mut command = std::process::Command::new(browser);
    let _ = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

pub(super) fn logout(_: &LogoutArgs) -> Result<(), Failure> {
    let login = account::login()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    match runtime.block_on(login.forget()).map_err(|error| account::failure(&error))? {
        Ok(()) => put("signed out, here and at the issuer\n"),
        Err(error) => {
            tell(&format!("the issuer was not told: {}", show::safe(&error.to_string())));
            put("signed out here; what was issued lasts until it ends by itself\n")
        }
    }
}
