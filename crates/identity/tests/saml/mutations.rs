//! No byte of a signed assertion can be another and be read as something else.

use identity::saml::{Accepted, verify};

use crate::support::{ASSERTION, RESPONSE, provider, soon_after, trusting};

fn every_byte_changed(document: &str) -> usize {
    let (providers, now) = (trusting(provider()), soon_after(document));
    let judge = |document: &[u8]| verify(document, &providers, now);
    let genuine: Accepted = judge(document.as_bytes()).unwrap();
    let mut refused = 0;
    for at in 0..document.len() {
        // Another bit each time; one of them is the case of a letter.
        let mut bytes = document.as_bytes().to_vec();
        bytes[at] ^= 1 << (at % 8);
        match judge(&bytes) {
            Ok(read) => assert_eq!(read, genuine, "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    refused
}

#[test]
fn id_21_a_changed_byte_is_refused_or_changes_nothing() {
    // What may change are the certificate in KeyInfo, which is not looked at, and the response around.
    assert!(every_byte_changed(&ASSERTION) > ASSERTION.len() / 2);
    assert!(every_byte_changed(&RESPONSE) > RESPONSE.len() / 2);
}
