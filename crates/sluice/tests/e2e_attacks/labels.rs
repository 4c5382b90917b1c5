//! Names that subjects choose, in metrics and logs (LK-07).

use std::collections::BTreeSet;

use anyhow::Result;
use testkit::canary::{Canary, leak};
use testkit::demo::site::{AUDITOR, ORDER_SERVICE, Site, Tuning};
use testkit::scripted::{password, startup};

use crate::support::admin::call;
use crate::support::raw::{Raw, V3_0, bind, encrypted, execute, parse, sync};
use crate::support::{site, token};

/// How many names of each kind.
const MANY: usize = 100;

/// Every label that a metric may have, with its values; `le` is a histogram's, and has the bounds in the code.
const LABELS: [(&str, &[&str]); 5] = [
    ("outcome", &["allow", "deny", "ask"]),
    ("form", &["clear", "masked"]),
    ("reason", &["full", "read_only", "stalled", "other"]),
    ("work", &WORK),
    ("le", &["0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01", "0.05", "0.25", "1", "5", "+Inf"]),
];

/// The kinds of work beside the sessions.
const WORK: [&str; 15] = [
    "approvals",
    "archive",
    "credentials",
    "index",
    "issuers",
    "journal",
    "live_tapes",
    "retention",
    "revisions",
    "roles",
    "tiles",
    "trust",
    "trust_domains",
    "vault",
    "witnesses",
];

/// What `/metrics` shows.
struct Shown {
    text: String,
    names: BTreeSet<String>,
    /// Each label, with its value.
    labels: BTreeSet<(String, String)>,
}

fn shown(site: &Site) -> Result<Shown> {
    let (_, text) = site.process()?.get("/metrics")?;
    let (mut names, mut labels) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (metric, value) = line.rsplit_once(' ').expect("a metric and its value");
        value.parse::<f64>().expect("a number");
        let (name, all) = metric.split_once('{').unwrap_or((metric, "}"));
        names.insert(name.to_owned());
        for pair in all.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty()) {
            let (label, value) = pair.split_once('=').expect("a label and its value");
            labels.insert((label.to_owned(), value.trim_matches('"').to_owned()));
        }
    }
    Ok(Shown { text, names, labels })
}

/// What breaks out of a label, a line, a JSON string or a terminal, with a word that is nowhere else.
fn hostile(word: &str, number: usize) -> String {
    let forged =
        ["\"} 1\nsluice_forged_total 1\n", "\",\"level\":\"ERROR\",\"x\":\"", "\u{1b}[2J\r\n", "'; --", "{}=,"];
    format!("{word}{number}{}", forged[number % forged.len()])
}

#[tokio::test(flavor = "multi_thread")]
async fn lk_07_no_name_that_a_subject_chose_is_a_label_or_makes_a_line() -> Result<()> {
    let site = &site("labels", Tuning::default())?;
    let (word, who) = (format!("lk{}", Canary::random()?.token), format!("who{}", Canary::random()?.token));
    let good = site.token(&ORDER_SERVICE)?;
    // Each outcome and form is there before, so that it is no new one afterwards.
    let mut client = Raw::login(site, &good).await?;
    client.simple("SELECT number, name FROM cards JOIN customers ON true LIMIT 1").await?;
    client.simple("DROP TABLE orders").await?;
    let before = shown(site)?;
    let lines_before = site.log().lines().count();

    for number in 0..MANY {
        let name = hostile(&word, number);
        // A subject, a user name and what an application calls itself.
        let subject = format!("{who}-{number}");
        let own = token(site, &subject, &["payments-apps", &format!("group-{subject}")])?;
        let mut client = Raw::login_with(site, &own, V3_0, &[("application_name", name.as_str())]).await?;
        let quoted = name.replace('"', "\"\"");
        client.simple(&format!("SELECT * FROM \"{quoted}\"")).await?;
        client.simple(&format!("SET application_name = '{}'", name.replace('\'', "''"))).await?;
        client.simple(&format!("SELECT 1 /*traceparent='{word}{number}',{word}='{number}'*/")).await?;
        client.simple(&format!("SET \"{quoted}\".x = '1'")).await?;
        client.simple(&format!("NOTIFY \"{quoted}\"")).await?;
        client.simple(&format!("SET sluice.reason = '{}'", name.replace('\'', "''"))).await?;
        client.exchange(&[parse(&name, "SELECT 1"), bind(&name, &name, &[], 0), execute(&name, 0), sync()]).await?;
        // A database, a start-up parameter and a token that lead nowhere.
        for parameters in [[("user", name.as_str()), ("database", name.as_str())], [("user", "x"), (&name, &name)]] {
            let mut stranger = encrypted(site).await?;
            stranger.send(&startup(V3_0, &parameters)).await?;
            let _ = stranger.send(&password(&own)).await;
            let _ = stranger.read_to_close().await;
        }
        assert!(Raw::login(site, &name).await.is_err());
        for path in [format!("/v1/sessions/{word}"), format!("/{word}"), format!("/v1/audit/search?subject={subject}")]
        {
            call(site, &site.token(&AUDITOR)?, "GET", &path, None)?;
        }
    }

    let Shown { text, names, labels } = shown(site)?;
    assert_eq!(names, before.names, "a metric was made");
    for (label, value) in &labels {
        let known = LABELS.iter().find(|(known, _)| known == label);
        let is_known = known.is_some_and(|(_, values)| values.contains(&value.as_str()));
        assert!(is_known, "{label} = {value:?}: not a label of the closed set");
    }
    // That all of them were counted is seen, too.
    assert!(labels.is_superset(&before.labels), "{labels:?}");
    assert!(site.metric("sluice_sessions_opened_total")?.is_some_and(|opened| opened > 100), "{text}");
    for chosen in [&word, &who] {
        assert_eq!(leak(text.as_bytes(), chosen), None, "{text}");
    }

    // The log says whose session it is, by the name that the issuer gave; it has no name that the caller gave.
    let log = site.log();
    let new: Vec<&str> = log.lines().skip(lines_before).collect();
    assert!(new.len() > MANY, "{} lines were logged", new.len());
    let is_a_line = |line: &&str| line.starts_with("20") || line.starts_with('{');
    let odd: Vec<&&str> = new.iter().filter(|line| !is_a_line(line) || line.contains('\u{1b}')).collect();
    assert!(odd.is_empty(), "a name made lines of its own: {odd:?}");
    let holding: Vec<&&str> = new.iter().filter(|line| leak(line.as_bytes(), &word).is_some()).take(3).collect();
    assert!(holding.is_empty(), "the log holds names: {holding:?}");
    Ok(())
}
