//! As whom requests to AWS are signed: an access key, a role taken with a workload's token, or the role of the container.

use hyper::Method;
use hyper::header::HeaderValue;
use model::secret::Secret;
use serde_json::Value;
use store::config::{AwsAccess, AwsAccount, CredentialSource};

use super::super::proof;
use super::sign::{AwsKeys, encode};
use super::{AwsError, exchange};
use crate::node::Node;

/// What Sluice calls the sessions of the roles that it takes; it is in AWS's own record.
const SESSION: &str = "sluice";

/// The keys to sign with, asked for at each use.
pub(super) async fn keys(node: &Node, account: &AwsAccount) -> Result<AwsKeys, AwsError> {
    match &account.access {
        AwsAccess::Key { id, secret, session_token } => {
            let session_token = read_any(node, account, session_token).await?;
            Ok(AwsKeys { id: id.clone(), secret: read(node, account, secret).await?, session_token })
        }
        AwsAccess::WebIdentity { role_arn, token } => {
            let token = read(node, account, token).await?;
            let query = format!(
                "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName={SESSION}&RoleArn={}&WebIdentityToken={}",
                encode(role_arn),
                encode(token.expose())
            );
            let url = format!("{}/", account.sts_url);
            let headers =
                [header("content-type", "application/x-www-form-urlencoded"), header("accept", "application/json")];
            let answer = exchange(account, Method::POST, &url, &headers, query).await?;
            let result = answer.get("AssumeRoleWithWebIdentityResponse");
            let result = result.and_then(|answer| answer.get("AssumeRoleWithWebIdentityResult"));
            let keys = result.and_then(|result| result.get("Credentials"));
            named(keys, "SessionToken")
        }
        AwsAccess::Container { url, token } => {
            let token = read_any(node, account, token).await?;
            let mut headers = vec![header("accept", "application/json")];
            if let Some(token) = &token {
                HeaderValue::from_str(token.expose())
                    .map_err(|_| AwsError::Proof("the token is not one".to_owned()))?;
                headers.push(header("authorization", token.expose()));
            }
            let answer = exchange(account, Method::GET, url, &headers, String::new()).await?;
            named(Some(&answer), "Token")
        }
    }
}

/// A secret that proves Sluice to AWS.
async fn read(node: &Node, account: &AwsAccount, source: &CredentialSource) -> Result<Secret<String>, AwsError> {
    proof(node, &format!("aws:{}", account.name), source).await.map_err(AwsError::Proof)
}

async fn read_any(
    node: &Node,
    account: &AwsAccount,
    source: &Option<CredentialSource>,
) -> Result<Option<Secret<String>>, AwsError> {
    match source {
        Some(source) => read(node, account, source).await.map(Some),
        None => Ok(None),
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Keys as AWS writes them, with the name that it has for the session token there.
fn named(keys: Option<&Value>, token: &str) -> Result<AwsKeys, AwsError> {
    let text = |name: &str| keys.and_then(|keys| keys.get(name)).and_then(Value::as_str).map(str::to_owned);
    let missing = || AwsError::Answer("no keys");
    Ok(AwsKeys {
        id: text("AccessKeyId").ok_or_else(missing)?,
        secret: Secret::new(text("SecretAccessKey").ok_or_else(missing)?),
        session_token: Some(Secret::new(text(token).ok_or_else(missing)?)),
    })
}
