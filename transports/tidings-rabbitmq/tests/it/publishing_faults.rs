//! Publishing through connections that are closed by force, cut in the middle of a frame, and broken.

use std::{cell::Cell, collections::VecDeque};

use tidings_core::Address;
use tidings_testkit::proxy::{Direction, Proxy};

use crate::{
    bed::{Bed, bed},
    publishing::{QUEUE, Scene, first_arrivals},
};

impl Scene {
    /// Publishes at least so many numbers, and goes on for a while after `is_over`. Every one must be confirmed.
    async fn publish_numbers(&self, least: u32, is_over: &Cell<bool>) -> u32 {
        const UNANSWERED: usize = 2_000;
        let (address, mut number, mut answers) = (Address::queue(QUEUE), 0, VecDeque::new());
        let mut last = least;
        while number < last {
            answers.push_back(self.publish(&address, number));
            number += 1;
            if !is_over.get() {
                last = least.max(number + 1_000);
            }
            if answers.len() > UNANSWERED {
                answers.pop_front().expect("there are many").await.unwrap();
            }
        }
        for answer in answers {
            answer.await.unwrap();
        }
        number
    }

    /// Nothing is missing, and what was sent again came in order too.
    async fn check_arrived(self, count: u32) {
        let arrived = first_arrivals(&self.arrived().await);
        assert_eq!(arrived, Vec::from_iter(0..count));
        self.close().await;
    }
}

#[tokio::test]
async fn no_confirmed_message_is_lost_when_the_connection_is_closed_by_force() {
    let Some(bed) = bed().await else { return };
    let scene = Scene::open(&bed).await;
    let is_closed = Cell::new(false);
    let closing = async {
        // The API sees a connection some moments after it was opened.
        while close_publishers(&bed).await == 0 {}
        is_closed.set(true);
    };
    let publishing = scene.publish_numbers(20_000, &is_closed);
    let (count, ()) = tokio::join!(publishing, closing);
    scene.check_arrived(count).await;
}

/// Closes the connections for publishing, as an operator would; how many there were.
async fn close_publishers(bed: &Bed) -> usize {
    let connections = bed.host.get("/api/vhosts/{}/connections").await;
    let mut closed = 0;
    for connection in connections.as_array().into_iter().flatten() {
        let client = &connection["client_properties"]["connection_name"];
        let is_publisher = client
            .as_str()
            .is_some_and(|name| name.contains("outbound"));
        if let (true, Some(name)) = (is_publisher, connection["name"].as_str()) {
            let name = name.replace(' ', "%20").replace('>', "%3E");
            bed.host.delete(&format!("/api/connections/{name}")).await;
            closed += 1;
        }
    }
    closed
}

#[tokio::test]
async fn no_confirmed_message_is_lost_when_the_connection_is_cut_again_and_again() {
    let Some(bed) = bed().await else { return };
    let proxy = Proxy::start(bed.host.address()).await.unwrap();
    let scene = Scene::open_as(&bed, &bed.host.url_through(proxy.address())).await;
    let is_over = Cell::new(false);
    let cutting = async {
        for round in 0..10_u64 {
            let accepted = proxy.counts().accepted;
            // Anywhere in a frame, in what is published or in the few bytes that confirm it.
            match round % 2 {
                0 => proxy.cut_after(Direction::Upstream, 997 * (round + 1)),
                _ => proxy.cut_after(Direction::Downstream, 13 * (round + 1)),
            }
            proxy.wait_for_accepted(accepted + 1).await.unwrap();
        }
        is_over.set(true);
    };
    let publishing = scene.publish_numbers(20_000, &is_over);
    let (count, ()) = tokio::join!(publishing, cutting);
    scene.check_arrived(count).await;
}

#[tokio::test]
async fn no_confirmed_message_is_lost_when_both_connections_are_reset() {
    let Some(bed) = bed().await else { return };
    let proxy = Proxy::start(bed.host.address()).await.unwrap();
    let scene = Scene::open_as(&bed, &bed.host.url_through(proxy.address())).await;
    let is_over = Cell::new(false);
    let resetting = async {
        for _ in 0..5 {
            let counts = proxy.counts();
            let passed = counts.upstream + 50_000;
            proxy
                .wait_for_bytes(Direction::Upstream, passed)
                .await
                .unwrap();
            proxy.reset().await;
            proxy.wait_for_accepted(counts.accepted + 2).await.unwrap();
        }
        is_over.set(true);
    };
    let publishing = scene.publish_numbers(20_000, &is_over);
    let (count, ()) = tokio::join!(publishing, resetting);
    scene.check_arrived(count).await;
}
