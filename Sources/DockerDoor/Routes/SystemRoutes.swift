import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore

/// The engine itself: ping, version, info, disk usage, and the check of registry credentials.
struct SystemRoutes: Sendable {
    let door: DockerParts

    func add(to table: inout PathTable) {
        table.add(.get, "/_ping") { _ in ping(withBody: true) }
        table.add(.head, "/_ping") { _ in ping(withBody: false) }
        table.add(.get, "/version") { _ in version() }
        table.add(.get, "/info") { _ in try await info() }
        table.add(.get, "/system/df") { try await usage($0) }
        table.add(.post, "/auth") { try await auth($0) }
        table.add(.post, "/session") { _ in try refuseBuildKit() }
        table.add(.post, "/grpc") { _ in try refuseBuildKit() }
        table.add(.get, "/plugins") { _ in DockerReply.json([]) }
    }

    private func ping(withBody: Bool) -> Response {
        var headers: HTTPFields = [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-cache, no-store"]
        // 1: the classic builder; no BuildKit is spoken here.
        for (name, value) in [("Builder-Version", "1"), ("Swarm", "inactive"), ("Pragma", "no-cache")] {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        return Response(
            status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: withBody ? "OK" : "")))
    }

    private func version() -> Response {
        let architecture = ImageRendering.goArchitecture(HostFacts.architecture)
        let version = door.server.version
        return DockerReply.json([
            "Platform": ["Name": "Isle"],
            "Components": [
                [
                    "Name": "Engine", "Version": .string(version),
                    "Details": [
                        "ApiVersion": .string(APIVersion.newest.description), "Arch": .string(architecture),
                        "KernelVersion": .string(HostFacts.kernel),
                        "MinAPIVersion": .string(APIVersion.oldest.description), "Os": "linux",
                    ],
                ]
            ],
            "Version": .string(version), "ApiVersion": .string(APIVersion.newest.description),
            "MinAPIVersion": .string(APIVersion.oldest.description), "GitCommit": "", "GoVersion": "", "Os": "linux",
            "Arch": .string(architecture), "KernelVersion": .string(HostFacts.kernel), "BuildTime": "",
        ])
    }

    private func info() async throws -> Response {
        let names = await door.names()
        var states: [String: Int64] = [:]
        let views = await door.engine.instances.list()
        for view in views {
            states[ContainerFacts(view: view, image: nil, names: names).state, default: 0] += 1
        }
        let images = try await door.engine.images.list().count
        let running = (states["running"] ?? 0) + (states["restarting"] ?? 0)
        let paused = states["paused"] ?? 0
        return DockerReply.json([
            "ID": .string(ContainerID.of(name: door.server.name)), "Containers": .integer(Int64(views.count)),
            "ContainersRunning": .integer(running), "ContainersPaused": .integer(paused),
            "ContainersStopped": .integer(Int64(views.count) - running - paused), "Images": .integer(Int64(images)),
            "Driver": "overlay2", "DriverStatus": [], "SystemStatus": nil,
            "Plugins": [
                "Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": nil,
                "Log": ["json-file", "local"],
            ],
            "MemoryLimit": true, "SwapLimit": false, "CpuCfsPeriod": true, "CpuCfsQuota": true, "CPUShares": true,
            "CPUSet": true, "PidsLimit": true, "IPv4Forwarding": true, "BridgeNfIptables": false,
            "BridgeNfIp6tables": false, "Debug": false, "NFd": 0, "OomKillDisable": false, "NGoroutines": 0,
            "SystemTime": .string(Timestamp.text(Clock.now)), "LoggingDriver": "json-file", "CgroupDriver": "cgroupfs",
            "CgroupVersion": .string(HostFacts.isUnifiedCgroup ? "2" : "1"), "NEventsListener": 0,
            "KernelVersion": .string(HostFacts.kernel), "OperatingSystem": .string(HostFacts.operatingSystem),
            "OSVersion": "", "OSType": "linux", "Architecture": .string(HostFacts.architecture),
            "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": [
                "AllowNondistributableArtifactsCIDRs": nil, "AllowNondistributableArtifactsHostnames": nil,
                "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
                "IndexConfigs": [
                    "docker.io": ["Name": "docker.io", "Mirrors": [], "Secure": true, "Official": true]
                ], "Mirrors": [],
            ],
            "NCPU": .integer(HostFacts.processors), "MemTotal": .integer(HostFacts.memory), "GenericResources": nil,
            "DockerRootDir": .string(door.server.stateDirectory), "HttpProxy": "", "HttpsProxy": "", "NoProxy": "",
            "Name": .string(door.server.name), "Labels": [], "ExperimentalBuild": false,
            "ServerVersion": .string(door.server.version),
            "Runtimes": .object(CreateTranslation.runtimes.map { .init(key: $0, value: ["path": .string($0)]) }),
            "DefaultRuntime": "crun",
            "Swarm": [
                "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
                "RemoteManagers": nil,
            ],
            "LiveRestoreEnabled": true, "Isolation": "", "InitBinary": "",
            "ContainerdCommit": ["ID": "", "Expected": ""], "RuncCommit": ["ID": "", "Expected": ""],
            "InitCommit": ["ID": "", "Expected": ""],
            "SecurityOptions": ["name=seccomp,profile=builtin", "name=userns"], "ProductLicense": "", "Warnings": [],
        ])
    }

    private func usage(_ call: DockerCall) async throws -> Response {
        let wanted = Set(call.values("type"))
        func wants(_ type: String) -> Bool { wanted.isEmpty || wanted.contains(type) }
        let names = await door.names()
        let views = await door.engine.instances.list()
        let images = try await door.engine.images.list()
        var answer: JSON = [
            "LayersSize": .integer(try await door.engine.images.usage().layers), "Images": nil, "Containers": nil,
            "Volumes": nil, "BuildCache": wants("build-cache") ? [] : nil, "BuilderSize": 0,
        ]
        if wants("image") {
            let all = Set(images.flatMap(\.references))
            answer = answer.merging([
                "Images": .array(
                    images.map { ImageRendering(view: $0, all: all).summary(containers: $0.usedBy.count) })
            ])
        }
        if wants("container") {
            var containers: [JSON] = []
            for view in views {
                let facts = await door.facts(view, names: names)
                containers.append(
                    ContainerSummary.render(
                        facts, layout: door.engine.layout, now: Clock.now, sizes: try await door.sizes(facts)))
            }
            answer = answer.merging(["Containers": .array(containers)])
        }
        if wants("volume") {
            var volumes: [JSON] = []
            for volume in await door.engine.volumes.list() {
                let size: Int64
                do { size = try await door.engine.volumes.usage(volume.name) } catch let error as EngineError
                    where [.notFound, .unavailable].contains(error.code)
                {
                    // -1 is what Docker says of a size that is not known.
                    size = -1
                }
                let users = VolumeRendering.users(of: volume.name, in: views).count
                volumes.append(
                    VolumeRendering.render(volume, layout: door.engine.layout).merging([
                        "UsageData": ["Size": .integer(size), "RefCount": .integer(Int64(users))]
                    ]))
            }
            answer = answer.merging(["Volumes": .array(volumes)])
        }
        return DockerReply.json(answer)
    }

    /// The registry judges.
    private func auth(_ call: DockerCall) async throws -> Response {
        let body = try await call.body()
        guard let username = try body.text("username") else {
            guard try body.text("identitytoken") == nil, try body.text("registrytoken") == nil else {
                throw EngineError(
                    .unsupported, "tokens in place of a user name are not offered", hint: "log in with a password")
            }
            throw Refusal(.unauthorized, "the credentials have no user name")
        }
        let registry = RegistryAuth.registry(try body.text("serveraddress") ?? "docker.io")
        do {
            try await door.engine.images.checkCredentials(
                RegistryCredentials(username: username, password: try body.string("password") ?? ""), at: registry)
        } catch let error as EngineError where error.code == .permissionDenied {
            throw Refusal(.unauthorized, "login attempt to \(registry) failed: \(error.message)")
        }
        return DockerReply.json(["Status": "Login Succeeded", "IdentityToken": ""])
    }

    private func refuseBuildKit() throws -> Response {
        throw Refusal(
            .notImplemented,
            "this engine does not speak BuildKit's protocol: use the classic builder with DOCKER_BUILDKIT=0")
    }
}
