use super::*;
use crate::ssh::sftp::part::{Handle, Path};
use model::error::ErrorKind;

#[test]
fn lengths_are_checked_at_the_boundary() {
    // SM-04
    let most = usize::try_from(MAX_LENGTH).unwrap();
    assert_eq!(length_word(most), Ok(MAX_LENGTH.to_be_bytes()));
    for length in [most + 1, 1 << 32, (1 << 32) + 5, usize::MAX] {
        assert_eq!(length_word(length), Err(EncodeError::TooLarge(length)));
    }
    assert_eq!(count(1 << 32), Err(EncodeError::TooMany(1 << 32)));
    assert_eq!(EncodeError::TooMany(1).kind(), ErrorKind::Limit);
}

#[test]
fn what_is_too_large_appends_nothing() {
    let mut out = b"before".to_vec();
    let most = usize::try_from(MAX_LENGTH).unwrap();
    let write = |length: usize| Request::Operation {
        id: 1,
        operation: Operation::Write { handle: Handle::default(), offset: 0, data: Data::new(vec![0; length]) },
    };
    // Type, id, the handle's length, the offset and the data's length.
    let fields = 1 + 4 + 4 + 8 + 4;
    assert_eq!(write(most - fields + 1).encode(&mut out), Err(EncodeError::TooLarge(most + 1)));
    assert_eq!(out, b"before");
    assert_eq!(write(most - fields).encode(&mut out), Ok(()));
    assert_eq!(out.len(), 6 + 4 + most);
}

#[test]
fn a_link_is_made_in_the_order_of_openssh() {
    let path = |text: &'static str| Path::new(text).unwrap();
    let operation = Operation::Symlink { target: path("T"), link: path("L") };
    let mut out = Vec::new();
    Request::Operation { id: 7, operation }.encode(&mut out).unwrap();
    assert_eq!(out, b"\0\0\0\x0f\x14\0\0\0\x07\0\0\0\x01T\0\0\0\x01L");
}
