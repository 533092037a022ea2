import Model
import OCI
import Testing

/// Thousands of damaged documents: each is read or refused with an error of ours, and none ends the process.
@Suite struct MutationTests {
    /// A generator whose run can be repeated.
    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
    }

    static let pieces: [[UInt8]] = [
        "{", "}", "[", "]", "\"", "\\u0000", "\\ud800", "null", "-1", "1e400", "9223372036854775808", ":", ",", "/",
        "..", "@",
        "sha256:", "\u{0}", "\u{7f}", "é", " ",
    ].map { Array($0.utf8) }

    /// `text` with one to four random changes.
    static func damaged(_ text: [UInt8], _ generator: inout Generator) -> [UInt8] {
        var bytes = text
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: at)
            case 2: bytes.insert(contentsOf: pieces.randomElement(using: &generator) ?? [], at: at)
            case 3: bytes = Array(bytes[..<at])
            default: bytes += bytes[at...].prefix(200)
            }
        }
        return bytes
    }

    @Test func damagedManifestsAndConfigurationsEndInErrors() throws {
        var generator = Generator(state: 42)
        let digest = ContentDigest(of: [1])
        let documents = [
            Array(ManifestDocumentTests.image().utf8), Array(ManifestDocumentTests.index().utf8),
            try CanonicalJSON.bytes(
                ImageConfiguration(
                    platform: .host,
                    config: .init(ImageConfig(exposedPorts: ["80/tcp"], env: ["A=1"], cmd: ["x"], labels: ["a": "b"])),
                    diffIDs: [digest], history: [.init(created: "2024-01-01T00:00:00Z", createdBy: "x")])),
        ]
        var read = 0
        for round in 0..<6000 {
            let bytes = Self.damaged(documents[round % 3], &generator)
            do {
                if round % 3 == 2 {
                    _ = ImageConfig(try ImageConfiguration(parsing: bytes))
                } else {
                    let document = try ManifestDocument(parsing: bytes, mediaType: nil)
                    if case .index(let index) = document { _ = try index.choose(.host, what: "x") }
                }
                read += 1
            } catch is EngineError {
                continue
            }
        }
        #expect(read < 6000)
    }

    @Test func damagedReferencesEndInErrorsAndReadOnesAreStable() throws {
        var generator = Generator(state: 7)
        let seeds = [
            "docker.io/library/alpine:3.20", "[::1]:5000/a/b", "a.b:80/c_d@\(ContentDigest(of: [1]))", "team/app",
        ]
        for round in 0..<8000 {
            let text = String(decoding: Self.damaged(Array(seeds[round % seeds.count].utf8), &generator), as: UTF8.self)
            do {
                let reference = try ImageReference(parsing: text)
                #expect(try ImageReference(parsing: reference.description) == reference, "\(text)")
                #expect(try ImageReference(parsing: reference.familiar) == reference, "\(text)")
                #expect(!reference.repository.contains("..") && !reference.repository.contains("//"))
            } catch is EngineError {
                continue
            }
        }
    }
}
