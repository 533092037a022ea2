import DriverKit
import Model
import Testing

@testable import Engine

/// The rules of Docker's reference, "Understand how CMD and ENTRYPOINT interact", for each kind.
@Suite struct PlanTests {
    private func process(
        _ kind: InstanceKind, config: [String: String] = [:], image: ImageConfig = ImageConfig(),
        hasInit: Bool = false, content: ImageContent = .rootFilesystem
    ) throws -> ProcessSpec {
        try builder(kind, config: config, image: image, hasInit: hasInit, content: content).process()
    }

    private func builder(
        _ kind: InstanceKind, config: [String: String] = [:], image: ImageConfig = ImageConfig(),
        hasInit: Bool = false, content: ImageContent = .rootFilesystem
    ) -> PlanBuilder {
        let record = InstanceRecord(
            id: .random(), name: "web", kind: kind, architecture: "x86_64", config: config, createdAt: 0)
        let image = ImageRecord(
            digest: "sha256:0", content: content, architecture: "x86_64", config: image, configDigest: "sha256:0",
            manifestMediaType: "", layers: [], hasInit: hasInit, size: 0, createdAt: nil, addedAt: 0, lastUsedAt: 0)
        return PlanBuilder(
            record: record, merged: MergedConfig(record, profiles: []), image: image,
            layout: HostLayout(state: "/s", run: "/r"), hostMemory: 1 << 30)
    }

    private let both = ImageConfig(entrypoint: ["/entry", "-e"], cmd: ["one", "two"])

    @Test func entrypointAndCommandOfAnApplication() throws {
        #expect(try process(.application, image: both).arguments == ["/entry", "-e", "one", "two"])
        #expect(
            try process(.application, config: ["oci.cmd": "x 'y z'"], image: both).arguments
                == ["/entry", "-e", "x", "y z"])
        #expect(
            try process(.application, config: ["oci.entrypoint": #"["/own"]"#], image: both).arguments == ["/own"])
        #expect(
            try process(.application, config: ["oci.entrypoint": "/own", "oci.cmd": "a"], image: both).arguments
                == ["/own", "a"])
        #expect(try process(.application, config: ["oci.cmd": "[]"], image: both).arguments == ["/entry", "-e"])
        #expect(
            try process(.application, config: ["oci.entrypoint": "", "oci.cmd": "sh"], image: both).arguments == ["sh"])
        #expect(try process(.application, image: ImageConfig(cmd: ["sh"])).arguments == ["sh"])
    }

    @Test func anApplicationWithoutProgramIsRefused() throws {
        let error = #expect(throws: EngineError.self) { try process(.application) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("'web'") == true)
        #expect(throws: EngineError.self) { try process(.application, config: ["oci.entrypoint": ""], image: both) }
    }

    @Test func aSystemRunsItsInit() throws {
        let config = ImageConfig(user: "daemon", cmd: ["/lib/systemd/systemd"])
        #expect(try process(.system, image: config, hasInit: true).arguments == ["/lib/systemd/systemd"])
        #expect(try process(.system, image: both).arguments == ["/sbin/init"])
        #expect(try process(.system, config: ["oci.cmd": "/own"], image: ImageConfig()).arguments == ["/own"])
        #expect(try process(.system, image: config, hasInit: true).user == nil)
    }

    @Test func aMachineBootsItsDiskOrInit() throws {
        #expect(try process(.machine, image: ImageConfig(cmd: ["/sbin/init"]), hasInit: true).arguments == [])
        #expect(try process(.machine, image: both).arguments == ["/entry", "-e", "one", "two"])
        #expect(
            try process(.machine, config: ["oci.entrypoint": "/own"], image: both, hasInit: true).arguments == ["/own"])
        #expect(try process(.machine, image: both, content: .disk).arguments == [])
    }

    @Test func aModuleGetsOnlyWhatWasGiven() throws {
        let config = ImageConfig(env: ["A=1"], entrypoint: ["/module.wasm"], cmd: ["x"])
        let plain = try process(.module, image: config, content: .module)
        #expect(plain.arguments == [])
        #expect(plain.environment == [])
        let own = try process(
            .module, config: ["oci.cmd": "a b", "environment.B": "2"], image: config, content: .module)
        #expect(own.arguments == ["a", "b"])
        #expect(own.environment == ["B=2"])
    }

    @Test func theLastSettingOfAVariableWins() throws {
        let image = ImageConfig(env: ["A=1", "B=2", "A=3", "EMPTY"], cmd: ["sh"])
        let spec = try process(
            .application, config: ["environment.B": "x=y", "environment.C": ""], image: image)
        #expect(spec.environment == ["A=3", "B=x=y", "EMPTY", "C="])
    }

    @Test func userAndFolderComeFromTheInstanceOrItsImage() throws {
        let image = ImageConfig(user: "web:www", cmd: ["sh"], workingDirectory: "/srv")
        #expect(try process(.application, image: image).user == "web:www")
        #expect(try process(.application, image: image).workingDirectory == "/srv")
        let own = try process(.application, config: ["oci.user": "0", "oci.cwd": "/"], image: image)
        #expect(own.user == "0" && own.workingDirectory == "/")
        let empty = try process(.application, image: ImageConfig(user: "", cmd: ["sh"], workingDirectory: ""))
        #expect(empty.user == nil && empty.workingDirectory == nil)
    }

    @Test func planOfAConfiguration() throws {
        let builder = builder(
            .application,
            config: ["security.privileged": "true", "logs.max_size": "1MiB", "logs.files": "5", "hostname": "h"],
            image: ImageConfig(cmd: ["sh"], stopSignal: "SIGQUIT"))
        let plan = try builder.plan(
            root: .module(path: "/x", digest: "sha256:0"), identity: IDRange(base: 5), network: .none, disks: [])
        #expect(plan.identity == nil)
        #expect(plan.hostname == "h")
        #expect(plan.log.maxSize == 1 << 20 && plan.log.files == 5)
        #expect(plan.security.noNewPrivileges)
        #expect(!plan.stdio.terminal && !plan.stdio.openStdin)
        #expect(builder.stopSignal == "SIGQUIT")
        let system = try self.builder(.system).plan(
            root: .module(path: "/x", digest: "sha256:0"), identity: IDRange(base: 5), network: .none, disks: [])
        #expect(system.identity?.base == 5)
        #expect(system.stdio.terminal && system.stdio.openStdin)
        #expect(!system.security.noNewPrivileges)
        #expect(self.builder(.system, image: ImageConfig(stopSignal: "SIGQUIT")).stopSignal == nil)
    }
}
