//! What a refused declaration says about the settings of the domain.

use tidings_core::{
    Error, ErrorKind,
    convention::Convention,
    topology::{Difference, Thing},
};
use tidings_domain::Domain;

fn differs(queue: &str, setting: &str, has: &str, wants: &str) -> Difference {
    Difference::Differs {
        thing: Thing::Queue(queue.into()),
        setting: setting.into(),
        has: has.into(),
        wants: wants.into(),
    }
}

fn explained(differences: &[Difference]) -> String {
    let refused = Error::new(ErrorKind::Conflict, "refused");
    let domain = Domain::new("acme", "shop").unwrap();
    let error = domain.explain(refused, differences);
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.chain().contains("refused"), "{}", error.chain());
    error.to_string()
}

#[test]
fn a_store_of_another_organization_is_named_with_the_ways_out() {
    let exchange = |of: &str| format!("`dead_letter.{of}.store`");
    let said = explained(&[
        differs("store", "message TTL", "5000 ms", "none"),
        differs(
            "store",
            "dead-letter exchange",
            &exchange("other"),
            &exchange("acme"),
        ),
    ]);
    for part in [
        "organization `other`",
        "acme.shop",
        "virtual host",
        "`without_store`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn other_ttls_lead_to_the_settings_for_them() {
    let said = explained(&[differs("store", "message TTL", "5000 ms", "none")]);
    assert!(said.contains("`joining_existing`"), "{said}");
    assert!(said.contains("`retry_ttl`"), "{said}");
}

#[test]
fn queues_without_ttl_lead_out_of_joining_rather_than_into_it() {
    let queue = "acme.shop.1.event.user_created.send_mail";
    let said = explained(&[differs(queue, "message TTL", "none", "5000 ms")]);
    assert!(said.contains("leave `joining_existing` out"), "{said}");
    assert!(!said.contains("`main_ttl`"), "{said}");
}

/// `joining_existing` has no say in these.
#[test]
fn other_queues_without_ttl_are_not_blamed_on_joining() {
    let check = |queue: &str, wants: &str| {
        let said = explained(&[differs(queue, "message TTL", "none", wants)]);
        assert!(said.contains("`retry_ttl`"), "{queue} {wants}: {said}");
    };
    check("retry.acme.shop.1.event.user_created.send_mail", "5000 ms");
    check("acme.shop.1.event.user_created.send_mail", "3000 ms");
}

#[test]
fn what_the_domain_has_no_setting_for_is_left_as_it_is() {
    assert_eq!(explained(&[]), "refused");
    let kind = Difference::Differs {
        thing: Thing::Exchange("acme.shop".into()),
        setting: "kind".into(),
        has: "fanout".into(),
        wants: "topic".into(),
    };
    assert_eq!(explained(&[kind]), "refused");
}
