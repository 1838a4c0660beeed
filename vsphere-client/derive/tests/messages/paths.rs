use vsphere_client::Properties;

#[derive(Properties)]
#[properties(VirtualMachine)]
struct Typo {
    nam: String,
}

#[derive(Properties)]
#[properties(VirtualMachine)]
struct WrongType {
    #[property(runtime.powerState)]
    power: bool,
}

fn main() {}
