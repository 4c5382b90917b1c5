use super::*;
use proptest::prelude::*;

fn packet(code: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).unwrap();
    [&length.to_be_bytes()[..], &[code], body].concat()
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn after(pushed: &[u8]) -> Result<Option<Packet>, FrameError> {
    let mut framer = Framer::default();
    framer.push(bytes(pushed));
    framer.packet()
}

#[test]
fn absurd_lengths_are_refused_from_the_length_word() {
    // RX-03, SM-17
    assert_eq!(after(&[0; 4]), Err(FrameError::Empty));
    for length in [LIMIT + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let mut framer = Framer::default();
        framer.push(bytes(&length.to_be_bytes()));
        for _ in 0..2 {
            assert_eq!(framer.packet(), Err(FrameError::TooLarge { length, limit: LIMIT }));
        }
    }
    assert_eq!(after(&LIMIT.to_be_bytes()), Ok(None));
    assert_eq!(after(&LIMIT.to_be_bytes()[..3]), Ok(None));
}

#[test]
fn what_was_declared_costs_nothing() {
    // RX-03
    let mut framer = Framer::default();
    framer.push(bytes(&LIMIT.to_be_bytes()));
    assert_eq!(framer.packet(), Ok(None));
    assert!(framer.gathered.capacity() < 2 * SMALL && framer.pieces.is_empty());
    assert_eq!(framer.pending(), 4);
}

#[test]
fn single_bytes_cost_little_more_than_themselves() {
    let mut framer = Framer::default();
    let whole = packet(6, &vec![7; 200_000]);
    for byte in &whole {
        assert_eq!(framer.packet(), Ok(None));
        framer.push(bytes(&[*byte]));
    }
    assert!(framer.pieces.len() <= whole.len() / SMALL);
    assert_eq!(framer.packet().unwrap().unwrap().into_bytes(), whole);
    assert_eq!(framer.pending(), 0);
}

#[test]
fn the_limit_is_exact_and_can_change() {
    let of = |length: u32| [&length.to_be_bytes()[..], &[5]].concat();
    let mut framer = Framer::new(10);
    framer.push(bytes(&of(11)));
    assert_eq!(framer.packet(), Err(FrameError::TooLarge { length: 11, limit: 10 }));
    framer.set_limit(11);
    assert_eq!(framer.packet(), Ok(None));
    framer.set_limit(u32::MAX);
    assert_eq!(framer.limit, MAX_LENGTH);
    assert_eq!(Framer::new(u32::MAX).limit, MAX_LENGTH);
}

#[test]
fn errors_have_a_kind() {
    use crate::sender::Sender;
    use model::error::ErrorKind;
    assert_eq!(FrameError::Empty.kind(Sender::Client), ErrorKind::Client);
    assert_eq!(FrameError::Empty.kind(Sender::Target), ErrorKind::Target);
    assert_eq!(FrameError::TooLarge { length: 2, limit: 1 }.kind(Sender::Client), ErrorKind::Limit);
}

#[test]
fn a_packet_that_came_whole_is_not_copied() {
    let (first, second) = (packet(6, &[1; 3000]), packet(6, &[2; 5000]));
    let pushed = Bytes::from([first.clone(), second.clone()].concat());
    let mut framer = Framer::default();
    framer.push(pushed.clone());
    let taken = [framer.packet().unwrap().unwrap(), framer.packet().unwrap().unwrap()];
    assert_eq!(taken[0].bytes().as_ptr(), pushed.as_ptr());
    assert_eq!(taken[1].bytes().as_ptr(), pushed[first.len()..].as_ptr());
    assert_eq!((taken[0].bytes(), taken[1].bytes()), (&Bytes::from(first), &Bytes::from(second)));
}

#[test]
fn the_id_is_there_even_if_the_rest_is_not() {
    let id = |packet: &[u8]| after(packet).unwrap().unwrap().id();
    assert_eq!(id(&packet(99, &[0, 0, 1, 2, 9])), Some(258));
    assert_eq!(id(&packet(4, &[0, 0, 1])), None);
    assert_eq!(id(&packet(1, &[0, 0, 0, 3])), None);
    assert_eq!(id(&packet(2, &[0, 0, 0, 3])), None);
}

#[test]
fn nothing_of_the_content_is_shown() {
    let shown = format!("{:?} {:?}", after(&packet(6, b"hunter2")).unwrap().unwrap(), Framer::default());
    assert_eq!(shown, "Packet(type 6, 12 bytes) Framer(0 bytes of at most 262144)");
}

proptest! {
    #[test]
    fn a_stream_is_cut_the_same_however_it_arrives(
        packets in prop::collection::vec((any::<u8>(), prop_oneof![0usize..40, 1000usize..6000]), 0..8),
        cuts in prop::collection::vec(prop_oneof![1usize..17, 1500usize..5000], 1..20),
        fill: u8,
    ) {
        // SM-19
        let packets: Vec<Vec<u8>> = packets.iter().map(|(code, length)| {
            packet(*code, &(0..*length).map(|at| fill.wrapping_add(u8::try_from(at % 251).unwrap())).collect::<Vec<_>>())
        }).collect();
        let stream = packets.concat();
        let (mut framer, mut found, mut fed) = (Framer::default(), Vec::new(), 0);
        let mut cuts = cuts.iter().cycle();
        while fed < stream.len() {
            let end = stream.len().min(fed + cuts.next().unwrap());
            framer.push(bytes(&stream[fed..end]));
            fed = end;
            while let Some(packet) = framer.packet().unwrap() {
                found.push(packet.into_bytes().to_vec());
            }
        }
        prop_assert_eq!(framer.pending(), 0);
        prop_assert_eq!(found, packets);
    }
}
