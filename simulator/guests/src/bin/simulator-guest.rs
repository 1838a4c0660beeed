//! The first process of a container, for programs such as tests that cannot call
//! `simulator_guests::init` first in their `main`. It exits immediately if it is started
//! by hand.

fn main() {
    simulator_guests::init();
}
