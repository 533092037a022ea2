import Testing

@testable import Client

@Suite struct SHA256Tests {
    private func digest(_ pieces: [[UInt8]]) -> String {
        var hash = SHA256()
        for piece in pieces { hash.update(piece) }
        return hash.finish()
    }

    /// The examples of NIST for SHA-256.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func knownDigests(text: String, hex: String) { #expect(digest([Array(text.utf8)]) == hex) }

    @Test func oneMillionTimesA() {
        let pieces = [[UInt8]](repeating: [UInt8](repeating: 97, count: 1000), count: 1000)
        #expect(digest(pieces) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func howItIsCutDoesNotMatter() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
        let whole = digest([bytes])
        for cut in 0...299 { #expect(digest([Array(bytes[..<cut]), Array(bytes[cut...])]) == whole) }
    }
}
