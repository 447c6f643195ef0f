//! Handlers register themselves from crates that depend on `tidings` alone. Three of them are in `tests/linked`: one with
//! handlers, one without, and one that this program depends on and never names.

use std::collections::BTreeMap;

use tidings::{States, registry::Registered};

tidings::handlers_from!(linked_rooms, linked_lobby);

fn registered() -> Registered {
    Registered::all().unwrap()
}

#[test]
fn a_crate_that_is_named_brings_its_handlers() {
    let registered = registered();
    let ours = registered.iter().filter(|it| it.package == "linked_rooms");
    let ours: BTreeMap<_, _> = ours.map(|it| (it.exchange(), it.function)).collect();
    let expected = [
        ("linked_clean_room", "linked_rooms::clean::clean_room"),
        ("linked_rent_room", "linked_rooms::rent::rent_room"),
    ];
    assert_eq!(ours, BTreeMap::from(expected));
}

#[test]
fn a_crate_that_nobody_names_is_left_out() {
    let registered = registered();
    assert!(registered.get("linked_fetch_wine").is_none());
    assert!(!registered.packages().contains_key("linked_cellar"));
}

#[test]
fn a_listed_crate_without_handlers_is_told_with_the_place_that_lists_it() {
    let registered = registered();
    let idle: Vec<_> = registered.idle_packages().collect();
    let [lobby] = &*idle else {
        panic!("one crate is idle, not {idle:?}");
    };
    assert_eq!(lobby.name, "linked_lobby");
    assert!(lobby.at.contains("registering.rs:"), "{}", lobby.at);
}

#[test]
fn a_handler_of_another_crate_finds_its_state_by_type() {
    let registered = registered();
    let handler = (registered.get("linked_rent_room").unwrap().handler)();
    handler.check(&States::new().with(50_u32)).unwrap();
    let error = handler.check(&States::new().with("50")).unwrap_err();
    assert!(error.to_string().contains("`State<u32>`"), "{error}");
}
