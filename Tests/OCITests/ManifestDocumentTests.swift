import Model
import OCI
import Testing

@Suite struct ManifestDocumentTests {
    static let digest = "sha256:" + String(repeating: "ab", count: 32)
    static let config = #"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"\#(digest)","size":7}"#
    static let layer = #"{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"\#(digest)","size":8}"#
    static let entry = #"{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"\#(digest)","size":9}"#

    static func image(type: String? = MediaType.manifest, extra: String = "") -> String {
        let mediaType = type.map { #""mediaType":"\#($0)","# } ?? ""
        return #"{"schemaVersion":2,\#(mediaType)"config":\#(config),"layers":[\#(layer)]\#(extra)}"#
    }

    static func index(type: String? = MediaType.index, extra: String = "") -> String {
        let mediaType = type.map { #""mediaType":"\#($0)","# } ?? ""
        return #"{"schemaVersion":2,\#(mediaType)"manifests":[\#(entry)]\#(extra)}"#
    }

    func parse(_ text: String, _ type: String? = nil) throws -> ManifestDocument {
        try ManifestDocument(parsing: Array(text.utf8), mediaType: type)
    }

    @Test func readsBothForms() throws {
        guard case .image(let image) = try parse(Self.image()) else { throw Unexpected() }
        #expect(image.layers.count == 1 && image.config.size == 7)
        guard case .index(let index) = try parse(Self.index()) else { throw Unexpected() }
        #expect(index.manifests[0].digest.description == Self.digest)
        #expect(try parse(Self.image(type: MediaType.dockerManifest)).mediaType == MediaType.dockerManifest)
        #expect(try parse(Self.index(type: MediaType.dockerList)).mediaType == MediaType.dockerList)
    }

    @Test func theMediaTypeMayComeFromTheTransportOrTheShape() throws {
        #expect(try parse(Self.image(type: nil)).mediaType == MediaType.manifest)
        #expect(try parse(Self.index(type: nil)).mediaType == MediaType.index)
        #expect(try parse(Self.image(type: nil), MediaType.dockerManifest).mediaType == MediaType.dockerManifest)
        #expect(try parse(Self.image(), "application/json; charset=utf-8").mediaType == MediaType.manifest)
        #expect(try parse(Self.image(), MediaType.manifest + "; charset=utf-8").mediaType == MediaType.manifest)
    }

    @Test(arguments: [
        // Two forms in one document.
        (image(extra: #","manifests":[]"#), String?.none),
        (index(extra: #","layers":[]"#), nil),
        (index(extra: #","config":null"#), nil),
        (index(extra: #","fsLayers":[]"#), nil),
        // Transport and document disagree.
        (image(), MediaType.index), (index(), MediaType.manifest), (image(), MediaType.dockerManifest),
        (index(type: MediaType.dockerList), MediaType.index),
        // Media type and shape disagree.
        (image(type: MediaType.index), nil), (index(type: MediaType.manifest), nil),
        (index(type: nil), MediaType.dockerManifest), (image(type: nil), MediaType.dockerList),
        // The same key twice, once with an escape.
        (image(extra: #","layers":[]"#), nil), (image(extra: #","\u006cayers":[]"#), nil),
    ])
    func refusesWhatCanBeReadInTwoWays(text: String, type: String?) {
        #expect(throws: EngineError.self) { try parse(text, type) }
    }

    @Test(arguments: [
        "sha256:../..", "sha256:" + String(repeating: "AB", count: 32), "sha256:" + String(repeating: "a", count: 63),
        "sha256:" + String(repeating: "a", count: 65), "sha512:" + String(repeating: "a", count: 128), "",
        "sha256:" + String(repeating: "a", count: 60) + "/../", "../../etc/passwd",
        "sha256:" + String(repeating: "a", count: 63) + "\\u0000",
    ])
    func refusesMalformedDigests(digest: String) {
        #expect(throws: EngineError.self) { try parse(Self.image().replacing(Self.digest, with: digest)) }
        #expect(throws: EngineError.self) { try parse(Self.index().replacing(Self.digest, with: digest)) }
    }

    @Test(arguments: [
        #"{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[],"history":[],"signatures":[]}"#, "[]", "{}", "null", "",
        "{", "\u{feff}{}", #"{"schemaVersion":2}"#, #"{"schemaVersion":3,"manifests":[]}"#,
        #"{"schemaVersion":2,"mediaType":"text/html","manifests":[]}"#, image() + image(),
        image().replacing(#""size":8"#, with: #""size":-1"#),
        image().replacing(#""size":8"#, with: #""size":9223372036854775807"#),
        image().replacing(#""size":8"#, with: #""size":92233720368547758070"#),
        image().replacing(#""size":8"#, with: #""size":"8""#),
        image().replacing(#""size":7"#, with: #""size":99999999"#),
        index().replacing(#""size":9"#, with: #""size":99999999"#),
    ])
    func refusesMalformedDocuments(text: String) {
        #expect(throws: EngineError.self) { try parse(text) }
    }

    @Test func refusesWhatIsBeyondTheBounds() {
        let deep = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
        #expect(throws: EngineError.self) { try parse(Self.image(extra: #","annotations":\#(deep)"#)) }
        let layers = Array(repeating: Self.layer, count: 501).joined(separator: ",")
        #expect(throws: EngineError.self) {
            try parse(#"{"schemaVersion":2,"config":\#(Self.config),"layers":[\#(layers)]}"#)
        }
        let entries = Array(repeating: Self.entry, count: 1001).joined(separator: ",")
        #expect(throws: EngineError.self) { try parse(#"{"schemaVersion":2,"manifests":[\#(entries)]}"#) }
        let blank = String(repeating: " ", count: 5 << 20)
        #expect(throws: EngineError.self) { try parse(Self.image() + blank) }
        let many = Array(repeating: "0", count: 60_000).joined(separator: ",")
        #expect(throws: EngineError.self) { try parse(Self.image(extra: #","x":[\#(many)]"#)) }
    }

    @Test func errorsNameTheField() {
        let error = #expect(throws: EngineError.self) {
            try parse(Self.image().replacing(#""size":8"#, with: #""size":"8""#))
        }
        #expect(error?.message.contains("layers.[0].size") == true)
    }

    struct Unexpected: Error {}
}
