//! Handlers in a crate of their own, in a module that nobody outside can name.

mod rent {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use tidings::{HandlerError, Request, State, contract::Response, handler};

    #[derive(Request, Serialize, Deserialize, JsonSchema)]
    #[request(exchange = "linked_rent_room", response = Rented, lock = "room", lax)]
    struct RentRoom {
        room: u32,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Rented {
        price: u32,
    }

    #[handler]
    async fn rent_room(
        State(night): State<u32>,
        request: RentRoom,
    ) -> Result<Response<Rented>, HandlerError> {
        let price = night * request.room;
        Ok(Response::success("Rented", Rented { price }))
    }
}

mod clean {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use tidings::{Request, contract::Response, handler};

    #[derive(Request, Serialize, Deserialize, JsonSchema)]
    #[request(exchange = "linked_clean_room", response = (), lock = off)]
    struct CleanRoom {}

    #[handler]
    async fn clean_room(CleanRoom {}: CleanRoom) -> Response<()> {
        Response::done("Cleaned")
    }
}
