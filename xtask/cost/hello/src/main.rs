//! The minimal program that reads a reply: it opens the file.

fn main() {
    let path = std::env::args().nth(1).expect("the path of a file");
    let text = std::fs::read_to_string(path).expect("a file that can be read");
    println!("{} bytes", text.len());
}
