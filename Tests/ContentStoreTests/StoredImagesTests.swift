import ContentStore
import Model
import OCI
import Testing

@Suite struct StoredImagesTests {
    let folder = TestFolder()

    private func addImage(_ store: DiskContentStore, _ content: [UInt8], os: String = "linux") async throws
        -> Descriptor
    {
        let layer = try await store.add(content, mediaType: MediaType.layer)
        let configuration = ImageConfiguration(
            platform: Platform(os: os, architecture: Platform.host.architecture), diffIDs: [layer.digest])
        let config = try await store.add(CanonicalJSON.bytes(configuration), mediaType: MediaType.config)
        let manifest = ImageManifest(config: config, layers: [layer])
        return try await store.add(CanonicalJSON.bytes(manifest), mediaType: MediaType.manifest)
    }

    @Test func anImageIsFoundByItsManifestAndByItsIndex() async throws {
        let store = try DiskContentStore(root: folder.path)
        var manifest = try await addImage(store, [1])
        manifest.platform = Platform.host
        let index = try await store.add(
            CanonicalJSON.bytes(ImageIndex(manifests: [manifest])), mediaType: MediaType.index)
        let image = try await store.image(index.digest)
        #expect(image.manifest == manifest.digest)
        #expect(image.target == index.digest)
        #expect(image.content == .rootFilesystem)
        #expect(image.layers.count == 1)
        #expect(try await store.image(manifest.digest).layers == image.layers)
    }

    @Test func reachabilityKeepsWhatIsNeededAndPruneTheRest() async throws {
        let store = try DiskContentStore(root: folder.path)
        var first = try await addImage(store, [1])
        first.platform = Platform.host
        let second = try await addImage(store, [2])
        let neverPulled = Descriptor(
            mediaType: MediaType.manifest, digest: ContentDigest(of: [9]), size: 1,
            platform: Platform(os: "plan9", architecture: "arm"))
        let index = try await store.add(
            CanonicalJSON.bytes(ImageIndex(manifests: [first, neverPulled])), mediaType: MediaType.index)
        let reachable = try await store.reachable(from: [index.digest])
        _ = try await store.prune(keeping: reachable, grace: .zero)
        #expect(try await store.image(index.digest).manifest == first.digest)
        #expect(try await !store.has(second.digest))
        #expect(try await store.list().count == 4)
    }

    @Test func aMissingLayerIsNamed() async throws {
        let store = try DiskContentStore(root: folder.path)
        let manifest = try await addImage(store, [1])
        try await store.remove(ContentDigest(of: [1]))
        let error = await #expect(throws: EngineError.self) { try await store.image(manifest.digest) }
        #expect(error?.code == .notFound)
        #expect(error?.message.contains(ContentDigest(of: [1]).hex) == true)
    }
}
