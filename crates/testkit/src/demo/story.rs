//! The story, part by part. Each part shows commands and their output, and checks what they did.

mod apis;
mod approvals;
mod cluster;
mod evidence;
mod expiry;
mod hosts;
mod policies;
mod reading;
mod refusals;
mod tickets;

use anyhow::{Context, Result};

use super::site::Site;
use super::stage::Stage;
use super::terminal::Terminal;

/// A part of the story.
type Part = fn(&mut Stage<'_>) -> Result<()>;

/// Tells all of it.
pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    introduce(stage)?;
    let parts: [(&str, Part); 10] = [
        ("reading", reading::tell),
        ("refusals", refusals::tell),
        ("approvals", approvals::tell),
        ("tickets", tickets::tell),
        ("policies", policies::tell),
        ("expiry", expiry::tell),
        ("hosts", hosts::tell),
        ("apis", apis::tell),
        ("cluster", cluster::tell),
        ("evidence", evidence::tell),
    ];
    for (name, tell) in parts {
        tell(stage).with_context(|| format!("in the part on {name}"))?;
    }
    Ok(())
}

fn introduce(stage: &Stage<'_>) -> Result<()> {
    let site = &*stage.site;
    let all = super::environment(site)?.into_iter();
    let environment: String = all.map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    std::fs::write(site.home().join("env"), environment)?;
    let terminal = stage.terminal;
    terminal.remark("Every line that follows can be pasted into another terminal, once it has run this one:");
    terminal.command(&format!(". {}/env", site.home().display()));
    terminal.plain(&format!(
        "\nNobody here knows the database's password but Sluice. psql's services (order-service, fraud-service, dana)\n\
         hold a token of the demo's issuer as their password, for five minutes; the files are in {}/clients.\n\
         The configuration is {} with the policies beside it in revision/policies.",
        site.home().display(),
        site.config().display(),
    ));
    Ok(())
}

/// What the reader can go on with.
pub(super) fn invite(terminal: &Terminal, site: &Site) {
    terminal.title("Every step went as told. All of it stays up until you press Ctrl-C. In another terminal:");
    let home = site.home().display();
    for (line, meaning) in [
        (format!(". {home}/env"), "the services, the tokens and sluice itself"),
        ("psql service=order-service".to_owned(), "a session as order-service; try to see a card number"),
        ("psql service=fraud-service".to_owned(), "one that may see them"),
        (format!("ls {home}/revision/policies"), "edit one of these: the next statement follows it"),
        ("sluice approvals list --token-file $TOKENS/dana.token".to_owned(), "what waits for a dba"),
        ("ssh -F $SSH web1 rm data/orders.csv".to_owned(), "waits for a dba, as backup-robot"),
        ("kubectl -n dev get secret db -o yaml".to_owned(), "a secret, masked"),
        ("sluice sessions list --token-file $TOKENS/vera.token".to_owned(), "who is connected"),
    ] {
        terminal.plain(&format!("    {line:<60} # {meaning}"));
    }
    terminal.plain("");
}
