use vsphere_client::Properties;

#[derive(Properties)]
struct NoObject {
    name: String,
}

#[derive(Properties)]
#[properties("VirtualMachine")]
struct Quoted {
    name: String,
}

#[derive(Properties)]
#[properties(VirtualMachine)]
struct Path {
    #[property("runtime.powerState")]
    power: String,
}

#[derive(Properties)]
#[properties(VirtualMachine)]
enum NoStruct {
    One,
}

fn main() {}
