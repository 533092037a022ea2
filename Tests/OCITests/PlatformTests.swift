import Model
import OCI
import Testing

@Suite struct PlatformTests {
    @Test(arguments: [
        ("amd64", "linux/amd64", "x86_64"), ("x86_64", "linux/amd64", "x86_64"),
        ("aarch64", "linux/arm64/v8", "aarch64"),
        ("linux/arm64", "linux/arm64/v8", "aarch64"), ("linux/arm/v6", "linux/arm/v6", "armv6l"),
        ("armhf", "linux/arm/v7", "armv7l"), ("i386", "linux/386", "i686"), ("wasip1/wasm", "wasip1/wasm", "wasm"),
    ])
    func names(text: String, normal: String, machine: String) throws {
        let platform = try Platform(parsing: text)
        #expect(platform.description == normal)
        #expect(platform.machine == machine)
    }

    @Test(arguments: ["", "/", "linux/", "linux/amd64/v1/x", "linux/am d64", "../x"])
    func refuses(text: String) { #expect(throws: EngineError.self) { try Platform(parsing: text) } }

    func index(_ entries: [(Platform?, [String: String]?)]) -> ImageIndex {
        ImageIndex(
            manifests: entries.enumerated().map { offset, entry in
                Descriptor(
                    mediaType: MediaType.manifest, digest: ContentDigest(of: [UInt8(offset)]), size: 1,
                    annotations: entry.1, platform: entry.0)
            })
    }

    func choice(_ entries: [(Platform?, [String: String]?)], _ wanted: String) throws -> Int? {
        let index = index(entries)
        let chosen = try index.choose(Platform(parsing: wanted), what: "x")
        return index.manifests.firstIndex(of: chosen)
    }

    @Test func takesTheNewestVariantThatRuns() throws {
        let arms = ["v5", "v6", "v7"].map {
            (Platform?.some(Platform(architecture: "arm", variant: $0)), [String: String]?.none)
        }
        #expect(try choice(arms, "linux/arm/v7") == 2)
        #expect(try choice(arms, "linux/arm/v6") == 1)
        #expect(
            try choice(
                [(Platform(architecture: "amd64", variant: "v3"), nil), (Platform(architecture: "amd64"), nil)], "amd64"
            ) == 1)
        #expect(try choice([(Platform(architecture: "arm64"), nil)], "linux/arm64/v8") == 0)
    }

    @Test func passesOverAttestations() throws {
        let attestation = (
            Platform?.some(Platform(os: "unknown", architecture: "unknown")),
            ["vnd.docker.reference.type": "attestation-manifest"] as [String: String]?
        )
        #expect(try choice([attestation, (Platform(architecture: "amd64"), nil)], "amd64") == 1)
        #expect(try choice([(nil, nil), attestation], "amd64") == 0)
    }

    @Test func aModuleRunsEverywhere() throws {
        let module = (Platform?.some(Platform(os: "wasip1", architecture: "wasm")), [String: String]?.none)
        #expect(try choice([(Platform(architecture: "s390x"), nil), module], "amd64") == 1)
        #expect(try choice([module, (Platform(architecture: "amd64"), nil)], "amd64") == 1)
    }

    @Test func namesWhatIsOnOffer() throws {
        let error = #expect(throws: EngineError.self) {
            try choice(
                [(Platform(architecture: "s390x"), nil), (Platform(os: "windows", architecture: "amd64"), nil)], "amd64"
            )
        }
        #expect(error?.code == .unsupported)
        #expect(error?.hint?.contains("linux/s390x, windows/amd64") == true)
        #expect(throws: EngineError.self) { try choice([], "amd64") }
    }
}
