import Model
import OCI
import Testing

@Suite struct StoredImageTests {
    let layerDigest = ContentDigest(of: [1])

    func manifest(_ configType: String, _ layerTypes: [String]) -> ImageManifest {
        ImageManifest(
            config: Descriptor(mediaType: configType, digest: ContentDigest(of: [0]), size: 2),
            layers: layerTypes.map { Descriptor(mediaType: $0, digest: layerDigest, size: 10) })
    }

    func image(_ manifest: ImageManifest, _ config: String) throws -> StoredImage {
        try StoredImage(
            target: nil, manifest: ContentDigest(of: [7]), manifestSize: 100, manifest, config: Array(config.utf8))
    }

    @Test func readsAnImageConfigurationWhole() throws {
        let text = """
            {"created":"2024-01-01T00:00:00Z","architecture":"arm64","os":"linux","variant":"v8",
            "config":{"User":"1000:1000","ExposedPorts":{"80/tcp":{},"53/udp":null},"Env":["A=1","B=2"],
            "Entrypoint":["/bin/app"],"Cmd":["-x"],"Volumes":{"/data":{}},"WorkingDir":"/srv","Labels":{"k":"v"},
            "StopSignal":"SIGINT","Healthcheck":{"Test":["CMD","true"],"Interval":5000000000,"Retries":3},
            "ArgsEscaped":true,"OnBuild":null},
            "rootfs":{"type":"layers","diff_ids":["\(layerDigest)"]},
            "history":[{"created_by":"ADD","empty_layer":true}],"moby.buildkit.cache.v0":"x"}
            """
        let image = try image(manifest(MediaType.config, [MediaType.layerZstd]), text)
        #expect(image.content == .rootFilesystem)
        #expect(image.platform.machine == "aarch64")
        #expect(image.size == 112)
        #expect(image.layers[0].diffID == layerDigest)
        let config = image.imageConfig
        #expect(config.user == "1000:1000" && config.workingDirectory == "/srv" && config.stopSignal == "SIGINT")
        #expect(config.exposedPorts == ["53/udp", "80/tcp"] && config.volumes == ["/data"])
        #expect(config.entrypoint == ["/bin/app"] && config.cmd == ["-x"] && config.env == ["A=1", "B=2"])
        #expect(config.labels == ["k": "v"])
        #expect(config.healthCheck == .init(test: ["CMD", "true"], interval: 5_000_000_000, retries: 3))
        #expect(ImageConfig(try ImageConfiguration(parsing: Array(text.utf8))) == config)
        // What is written from it says the same.
        let written = ImageConfiguration(
            platform: image.platform, config: ImageConfiguration.Execution(config), diffIDs: [layerDigest])
        #expect(ImageConfig(try ImageConfiguration(parsing: CanonicalJSON.bytes(written))) == config)
    }

    @Test func nullAndMissingFieldsAreEmpty() throws {
        let text =
            #"{"architecture":"amd64","os":"linux","config":{"Env":null,"Entrypoint":null,"User":"","Volumes":null},"rootfs":{"type":"layers","diff_ids":["\#(layerDigest)"]}}"#
        let image = try image(manifest(MediaType.dockerConfig, [MediaType.dockerLayerGzip]), text)
        #expect(image.imageConfig == ImageConfig())
    }

    @Test func modulesAndDisksAreKnownByTheirLayer() throws {
        let module = try image(
            manifest(MediaType.wasmConfig, [MediaType.wasm]),
            #"{"architecture":"wasm","os":"wasip2","layerDigests":[]}"#)
        #expect(module.content == .module && module.platform.os == "wasip2")
        let odd = try image(manifest(MediaType.emptyConfig, [MediaType.wasm]), "{}")
        #expect(odd.content == .module)
        let disk = try image(
            manifest(MediaType.diskConfig, [MediaType.diskQcow2]),
            #"{"architecture":"amd64","os":"linux","firmware":"uefi","virtualSize":1024}"#)
        #expect(disk.content == .disk && disk.disk?.firmware == "uefi")
        #expect(throws: EngineError.self) {
            try image(
                manifest(MediaType.diskConfig, [MediaType.diskRaw]),
                #"{"architecture":"amd64","os":"linux","firmware":"/etc/passwd","virtualSize":1024}"#)
        }
    }

    @Test func aModuleInsideOfATarIsRefused() {
        let text =
            #"{"architecture":"wasm","os":"wasi","rootfs":{"type":"layers","diff_ids":["\#(layerDigest)"]}}"#
        let error = #expect(throws: EngineError.self) { try image(manifest(MediaType.config, [MediaType.layer]), text) }
        #expect(error?.code == .unsupported)
    }

    @Test(arguments: [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    ])
    func foreignAndUnknownLayersAreRefused(type: String) {
        let error = #expect(throws: EngineError.self) {
            try StoredImage.content(of: manifest(MediaType.config, [MediaType.layer, type]), layerDigest)
        }
        #expect(error?.code == .unsupported)
    }

    @Test func layersAndConfigurationMustAgree() throws {
        let none = #"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#
        #expect(throws: EngineError.self) { try image(manifest(MediaType.config, [MediaType.layer]), none) }
        #expect(throws: EngineError.self) {
            try image(manifest("application/vnd.cncf.helm.config.v1+json", [MediaType.layer]), none)
        }
        // What builders write for `FROM scratch` with metadata alone.
        for root in [#"{"type":"layers"}"#, #"{"type":"layers","diff_ids":null}"#] {
            let empty = #"{"architecture":"amd64","os":"linux","rootfs":\#(root)}"#
            #expect(try image(manifest(MediaType.config, []), empty).layers.isEmpty)
        }
        let escape =
            #"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:../../../etc"]}}"#
        #expect(throws: EngineError.self) { try image(manifest(MediaType.config, [MediaType.layer]), escape) }
    }
}
