import DriverKit
import Engine
import Model

/// Images in Docker's shapes. The id is the digest of the manifest, as with containerd's image store.
struct ImageRendering {
    let view: ImageView
    /// Every reference there is.
    let all: Set<String>

    private var record: ImageRecord { view.record }

    var tags: [String] {
        view.references.filter { !$0.contains("@") }.map { ImageNames.familiar($0, among: all) }.sorted()
    }

    /// `name@sha256:…` for each repository that the image came from.
    var digests: [String] {
        Set(view.references.map { ImageNames.split(ImageNames.familiar($0, among: all)).name }).sorted()
            .map { "\($0)@\(record.digest)" }
    }

    func summary(containers: Int) -> JSON {
        [
            "Containers": .integer(Int64(containers)), "Created": .integer(Int64(record.createdAt ?? 0)),
            "Id": .string(record.digest), "Labels": record.config.labels.isEmpty ? nil : .map(record.config.labels),
            "ParentId": "", "RepoDigests": .strings(digests), "RepoTags": .strings(tags), "SharedSize": -1,
            "Size": .integer(record.size), "VirtualSize": .integer(record.size),
        ]
    }

    /// - Parameter comment: of the last step, as `docker commit -m` sets it.
    func inspect(comment: String) -> JSON {
        let config = record.config
        return [
            "Id": .string(record.digest), "RepoTags": .strings(tags), "RepoDigests": .strings(digests), "Parent": "",
            "Comment": .string(comment),
            "Created": .string(record.createdAt.map { Timestamp.text($0) } ?? ContainerInspect.never),
            "DockerVersion": "", "Author": .string(record.properties["author"] ?? ""),
            "Config": [
                "Hostname": "", "Domainname": "", "User": .string(config.user ?? ""), "AttachStdin": false,
                "AttachStdout": false, "AttachStderr": false,
                "ExposedPorts": config.exposedPorts.isEmpty ? nil : ContainerInspect.set(config.exposedPorts),
                "Tty": false,
                "OpenStdin": false, "StdinOnce": false, "Env": .strings(config.env),
                "Cmd": config.cmd.isEmpty ? nil : .strings(config.cmd), "Image": "",
                "Volumes": config.volumes.isEmpty ? nil : ContainerInspect.set(config.volumes),
                "WorkingDir": .string(config.workingDirectory ?? ""),
                "Entrypoint": config.entrypoint.isEmpty ? nil : .strings(config.entrypoint), "OnBuild": nil,
                "Labels": config.labels.isEmpty ? nil : .map(config.labels),
                "StopSignal": .optional(config.stopSignal),
                "Healthcheck": config.healthCheck.map(Self.health) ?? .null,
            ],
            "Architecture": .string(Self.goArchitecture(record.architecture)),
            "Os": .string(record.content == .module ? "wasi" : "linux"), "Size": .integer(record.size),
            "VirtualSize": .integer(record.size), "GraphDriver": ["Data": nil, "Name": "overlay2"],
            "RootFS": ["Type": "layers", "Layers": .strings(record.layers.map(\.diffID))],
            "Metadata": ["LastTagTime": .string(Timestamp.text(record.addedAt))],
            "Descriptor": [
                "mediaType": .string(record.manifestMediaType), "digest": .string(record.digest),
                "size": .integer(record.size),
            ],
        ]
    }

    static func health(_ check: ImageConfig.HealthCheck) -> JSON {
        [
            "Test": .strings(check.test), "Interval": .integer(check.interval ?? 0),
            "Timeout": .integer(check.timeout ?? 0), "StartPeriod": .integer(check.startPeriod ?? 0),
            "Retries": .integer(Int64(check.retries ?? 0)),
        ]
    }

    static func history(_ entries: [ImageHistoryEntry], view: ImageView, tags: [String]) -> JSON {
        // Newest first; only the image itself has an id.
        .array(
            entries.reversed().enumerated().map { index, entry in
                [
                    "Id": .string(index == 0 ? view.record.digest : "<missing>"),
                    "Created": .integer(Int64(entry.created.flatMap { Timestamp.seconds($0) } ?? 0)),
                    "CreatedBy": .string(entry.createdBy), "Tags": index == 0 ? .strings(tags) : nil,
                    "Size": .integer(entry.size), "Comment": .string(entry.comment),
                ]
            })
    }

    /// An architecture as Go names it.
    static func goArchitecture(_ name: String) -> String {
        switch name {
        case "x86_64": "amd64"
        case "aarch64": "arm64"
        case "": "wasm"
        default: name
        }
    }
}
