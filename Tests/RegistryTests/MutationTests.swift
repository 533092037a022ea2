import Model
import OCI
import Testing

@testable import Registry

/// Damaged headers and addresses, as a hostile registry sends them.
@Suite struct HeaderMutationTests {
    @Test func damagedHeadersAreReadOrPassedOver() throws {
        var state: UInt64 = 99
        func random(_ bound: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(bound))
        }
        let seeds = [
            #"Bearer realm="https://auth.example/token",service="registry",scope="repository:x:pull""#,
            #"Basic realm="a", Bearer realm="b""#, "https://user@registry.example:5000/v2/x?y=z#f", "//host/path",
            "bytes 100-199/200", "</v2/x/tags/list?n=1&last=b>; rel=\"next\"",
        ]
        let base = try #require(WebLocation("https://registry.example/v2/"))
        for round in 0..<20_000 {
            var bytes = Array(seeds[round % seeds.count].utf8)
            for _ in 0...random(4) where !bytes.isEmpty {
                switch random(3) {
                case 0: bytes[random(bytes.count)] = UInt8(random(256))
                case 1: bytes.remove(at: random(bytes.count))
                default: bytes.insert(contentsOf: Array("\",=@[]:/\\ ".utf8), at: random(bytes.count))
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            for challenge in Challenge.parse([text]) { #expect(!challenge.scheme.isEmpty) }
            if let location = base.resolving(text) {
                #expect(!location.authority.contains("@") && !location.description.contains(" "))
                #expect(WebLocation(location.description)?.authority == location.authority)
                _ = location.port
            }
            if let next = RegistryClient.nextPage(text, base) { #expect(next.isSameOrigin(as: base)) }
            _ = BlobDownload.firstByte(text)
        }
    }
}
