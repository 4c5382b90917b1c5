//! Who a client is: the subject of its certificate, or else of the token that it sends as a password.
//!
//! A certificate that names a subject settles it, and no password is asked for: the client proved to hold its key, which
//! is more than any password proves. So a token cannot change, behind the back of whoever configured a workload, who that
//! workload is. A client that holds an X.509-SVID and wants to be known by a token says so when it connects
//! (`sluice.credential=token`); the certificate then only proves the key that the token may be bound to.

use identity::IdentityError;
use model::subject::Subject;

use super::login::{Refusal, ask_for_token, negotiate};
use super::opening::Applicant;
use crate::node::Node;

pub(super) async fn identify(node: &Node, applicant: &mut Applicant) -> Result<Subject, Refusal> {
    negotiate(node, applicant);
    let nameless = match by_certificate(node, applicant) {
        Some(Ok(subject)) => return Ok(subject),
        Some(Err(error)) => Some(error),
        None => None,
    };
    let token = ask_for_token(node, applicant).await.map_err(|refusal| refusal.beside(nameless.as_ref()))?;
    let verified = node.issuers.verify(&token, &applicant.proven()).await;
    verified.map_err(|error| Refusal::generic(error.to_string()).beside(nameless.as_ref()))
}

/// What the certificate says, if there is one and the client did not ask to be known by a token.
fn by_certificate(node: &Node, applicant: &Applicant) -> Option<Result<Subject, IdentityError>> {
    let certificate = applicant.certificate.as_ref().filter(|_| !applicant.wanted.by_token)?;
    Some(node.issuers.recognise(certificate))
}
