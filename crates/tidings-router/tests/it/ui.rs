//! The compiler's messages for handlers and contracts that do not fit: the message is the specification.

#[test]
fn compiler_errors_lead_to_the_fix() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
