//! The examples of the specifications.

use aws_lc_rs::digest::{SHA256, digest};

use super::*;

/// Whether the key verifies the compact token, whatever its payload is.
fn verifies(jwk: Value, token: &str) -> bool {
    let set = json!({ "keys": [jwk] }).to_string();
    let keys = KeySet::from_jwks(set.as_bytes(), &Algorithm::ALL.into()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    keys.find(None).unwrap().verifies(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
}

/// The claims of RFC 7515, appendix A.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

#[test]
fn rfc_7515_appendix_a_2_rs256() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS\
             -pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2C\
             apHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb\
             54h4FRWyuXpoQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJd\
                     bF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN938\
                     3LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkW\
                     ywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let jwk = json!({"kty": "RSA", "n": n, "e": "AQAB"});
    assert!(verifies(jwk.clone(), &format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{signature}")));
    assert!(!verifies(jwk, &format!("eyJhbGciOiJSUzI1NiJ8.{JOE}.{signature}")));
}

#[test]
fn rfc_7515_appendix_a_3_es256() {
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                     "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert!(verifies(jwk, &format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{signature}")));
}

#[test]
fn rfc_8037_appendix_a_ed25519() {
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcN\
                 R4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    assert!(verifies(jwk, token));
    // A.1 and A.3: the same key from its seed, and its thumbprint.
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let key = SigningKey::from_seed(&model::secret::Secret::new(seed.try_into().unwrap())).unwrap();
    assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert!(key.jwks().contains("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
}

#[test]
fn rfc_7519_section_3_1_and_6_1_are_refused() {
    let world = World::new(issuer());
    // Signed with HMAC, and not signed at all.
    let hmac = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    let unsecured = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    for token in [hmac, unsecured] {
        assert!(matches!(world.verify_token(&token), Err(IdentityError::Algorithm(_))), "{token}");
    }
}

#[test]
fn rfc_8705_section_3_1_names_a_certificate_by_the_digest_of_its_der() {
    let certificate = b"any DER";
    let mut proven = Digest::default();
    proven.0.copy_from_slice(digest(&SHA256, certificate).as_ref());
    let world = World::new(issuer());
    let token = world.pair.token(&claims_with("cnf", json!({"x5t#S256": b64(digest(&SHA256, certificate))})));
    let proven = Proven { certificate: Some(proven), proof_key: None };
    let subject = verify(&token, &world.issuers, &proven, Timestamp::from_seconds(NOW)).unwrap();
    assert_eq!(subject.binding, Binding::Mtls);
}
