import Model
import Testing

@testable import StateStore

@Suite struct ResourceTests {
    let folder: DatabaseFolder
    let store: StateStore

    init() throws {
        folder = try DatabaseFolder()
        store = try StateStore(path: folder.database)
    }

    @Test func idSlotsAreTheInstancesOwnUntilItGoes() async throws {
        var slots: [Int] = []
        var records: [InstanceRecord] = []
        for number in 0..<4 {
            records.append(instance("i\(number)"))
            try await store.insert(records[number])
            slots.append(try await store.reserveIDSlot(records[number].id, slots: 4))
        }
        #expect(slots.sorted() == [0, 1, 2, 3])
        #expect(try await store.reserveIDSlot(records[2].id, slots: 4) == slots[2])
        let more = instance("more")
        try await store.insert(more)
        let error = await #expect(throws: EngineError.self) { try await store.reserveIDSlot(more.id, slots: 4) }
        #expect(error?.code == .resourceExhausted)
        try await store.deleteInstance(records[1].id)
        #expect(try await store.reserveIDSlot(more.id, slots: 4) == slots[1])
    }

    @Test func addressesAreReservedOnce() async throws {
        let store = store
        let records = (0..<20).map { instance("i\($0)") }
        for record in records { try await store.insert(record) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for record in records {
                group.addTask {
                    _ = try await store.reserve(record.id, device: "eth0", network: "n") { taken in
                        AddressReservation(
                            instance: record.id, device: "eth0", network: "n", mac: "m",
                            ipv4: "10.0.0.\(taken.count + 1)", ipv6: nil)
                    }
                }
            }
            try await group.waitForAll()
        }
        let all = try await store.reservations()
        #expect(Set(all.compactMap(\.ipv4)).count == 20)
        try await store.release(records[0].id, device: "eth0")
        try await store.deleteInstance(records[1].id)
        #expect(try await store.reservations().count == 18)
    }

    @Test func ofTwoThatChooseTheSameAddressTheSecondFails() async throws {
        let records = [instance("a"), instance("b")]
        for record in records { try await store.insert(record) }
        func reserve(_ record: InstanceRecord, _ network: String) async throws {
            _ = try await store.reserve(record.id, device: "eth0", network: network) { _ in
                AddressReservation(
                    instance: record.id, device: "eth0", network: network, mac: "m", ipv4: "10.0.0.2", ipv6: nil)
            }
        }
        try await reserve(records[0], "n")
        try await reserve(records[0], "n")
        await #expect(throws: EngineError.self) { try await reserve(records[1], "n") }
        try await reserve(records[1], "other")
    }

    @Test func imagesAndTheirReferences() async throws {
        let image = ImageRecord(
            digest: "sha256:1", content: .rootFilesystem, architecture: "x86_64", config: ImageConfig(cmd: ["sh"]),
            configDigest: "sha256:2", manifestMediaType: "m", layers: [], hasInit: false, size: 1, createdAt: nil,
            addedAt: 1, lastUsedAt: 1)
        var other = image
        other.digest = "sha256:3"
        try await store.save(image, references: ["a", "b"])
        try await store.save(other, references: ["b"])
        #expect(try await store.imageReferences() == ["a": "sha256:1", "b": "sha256:3"])
        #expect(try await store.image(digest: "sha256:1") == image)
        #expect(try await store.untag("a"))
        #expect(try await !store.untag("a"))
        await #expect(throws: EngineError.self) { try await store.tag("c", digest: "sha256:missing") }
        try await store.deleteImage(digest: "sha256:3")
        #expect(try await store.imageDigest(reference: "b") == nil)
        try folder.run("UPDATE image SET document = 'x'")
        #expect(try await store.images().unreadable == ["sha256:1"])
        let error = await #expect(throws: EngineError.self) { try await store.image(digest: "sha256:1") }
        #expect(error?.code == .internal)
    }

    @Test func profilesVolumesAndNetworksReplaceTheirOlderSelves() async throws {
        var profile = ProfileRecord(name: "p")
        try await store.save(profile)
        profile.description = "new"
        try await store.save(profile)
        #expect(try await store.profiles().records == [profile])
        try await store.deleteProfile(project: "default", name: "p")
        #expect(try await store.profiles().records.isEmpty)
        let volume = VolumeRecord(name: "v", createdAt: 1)
        try await store.save(volume)
        try await store.save(volume)
        #expect(try await store.volumes().records == [volume])
        try await store.deleteVolume(project: "default", pool: "default", name: "v")
        #expect(try await store.volumes().records.isEmpty)
        try await store.saveNetwork(["a": 1], name: "n")
        try await store.saveNetwork(["a": 2], name: "n")
        #expect(try await store.networks([String: Int].self).records == [["a": 2]])
        try await store.deleteNetwork(name: "n")
        #expect(try await store.networks([String: Int].self).records.isEmpty)
    }
}
