import Model
import Synchronization
import Testing

@testable import DockerDoor

@Suite struct ChangesTests {
    private func config(_ changes: String...) throws -> ImageConfig {
        var config = ImageConfig(env: ["A=old", "B=kept"], cmd: ["old"])
        for change in changes { try ImageInstruction(change).apply(to: &config) }
        return config
    }

    @Test func instructionsChangeHowAnImageIsRun() throws {
        let changed = try config(
            #"CMD ["bash", "-l"]"#, "entrypoint run it", #"ENV A=new "C=d e""#, "EXPOSE 80 53/udp", #"LABEL x="y z""#,
            "USER bob", "WORKDIR /srv", "VOLUME /a /b", "STOPSIGNAL SIGINT")
        #expect(changed.cmd == ["bash", "-l"])
        #expect(changed.entrypoint == ["/bin/sh", "-c", "run it"])
        #expect(changed.env == ["B=kept", "A=new", "C=d e"])
        #expect(changed.exposedPorts == ["80/tcp", "53/udp"])
        #expect(changed.labels == ["x": "y z"])
        #expect(changed.user == "bob" && changed.workingDirectory == "/srv" && changed.stopSignal == "SIGINT")
        #expect(changed.volumes == ["/a", "/b"])
        #expect(try config("ENV NAME a value").env.last == "NAME=a value")
    }

    @Test(arguments: ["RUN true", "CMD", "", "COPY a b", "LABEL noequals", "ENV =x"])
    func otherChangesAreRefused(_ text: String) {
        #expect(throws: EngineError.self) { try ImageInstruction(text) }
    }

    @Test func theLastLinesOfABuildComeAfterItsId() {
        let seen = Mutex<[String]>([])
        let lines = ClosingLines { line in seen.withLock { $0.append(line) } }
        for line in ["Step", "Successfully installed", "more", "Successfully built x", "Successfully tagged y"] {
            lines.send(line)
        }
        seen.withLock { $0.append("id") }
        lines.finish()
        #expect(
            seen.withLock { $0 } == [
                "Step", "Successfully installed", "more", "id", "Successfully built x", "Successfully tagged y",
            ])
    }

    @Test func failuresOfStartsAreRememberedUntilOneWorks() throws {
        let failures = StartFailures()
        let id = try #require(InstanceID("0123456789abcdef"))
        failures.note(id, "no such program", code: 127)
        #expect(failures.of(id)?.code == 127 && failures.of(id)?.message == "no such program")
        failures.forget(id)
        #expect(failures.of(id) == nil)
    }

    @Test(arguments: [
        ("https://index.docker.io/v1/", "docker.io"), ("docker.io", "docker.io"),
        ("http://127.0.0.1:5000/v2/", "127.0.0.1:5000"), ("registry.example:5000", "registry.example:5000"),
    ]) func addressesNameRegistries(_ address: String, _ registry: String) {
        #expect(RegistryAuth.registry(address) == registry)
    }
}
