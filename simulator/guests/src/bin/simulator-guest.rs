//! The first process of a container, for programs that cannot call
//! `simulator_guests::init` first in their `main`, such as tests. It does nothing
//! when it is started by hand.

fn main() {
    simulator_guests::init();
}
