"""A step that asks for all that kfp-kubernetes has, and one that asks for what Docker has too."""

from kfp import dsl, kubernetes


@dsl.container_component
def tell(name: str, selector: dict, tolerations: list, said: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="alpine:3", command=["sh", "-c", 'echo "$0" > "$1"'], args=[name, said])


def _sized(task):
    task.set_cpu_limit("2").set_memory_limit("1Gi").set_cpu_request("500m").set_memory_request("512Mi")
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
    task.set_env_variable("PLAIN", "1")
    kubernetes.empty_dir_mount(task, "scratch", "/scratch", medium="Memory", size_limit="1Gi")
    kubernetes.add_ephemeral_volume(
        task, "ephemeral", "/ephemeral", ["ReadWriteOnce"], "1Gi", storage_class_name="fast", labels={"a": "b"}
    )
    kubernetes.set_image_pull_policy(task, "Always")
    kubernetes.add_pod_label(task, "team", "ml")
    kubernetes.add_pod_annotation(task, "note", "x")
    kubernetes.set_timeout(task, 60)
    kubernetes.set_security_context(task, run_as_user=1000, run_as_group=1000, run_as_non_root=True)


@dsl.pipeline
def demanding(
    name: str = "n", selector: dict = {"disk": "ssd"}, tolerations: list = [{"key": "x", "operator": "Exists"}]
):
    task = tell(name=name, selector=selector, tolerations=tolerations)
    _sized(task)
    kubernetes.mount_pvc(task, pvc_name=name, mount_path="/data", sub_path="s")
    kubernetes.mount_pvc(task, pvc_name="fixed", mount_path="/fixed")
    kubernetes.mount_pvc(task, pvc_name="fixed", mount_path="/again")
    kubernetes.use_secret_as_volume(task, name, "/secret")
    kubernetes.use_config_map_as_volume(task, "map", "/map", optional=True)
    kubernetes.use_secret_as_env(task, "keys", {"key": "KEY"}, optional=True)
    kubernetes.use_config_map_as_env(task, name, {"rows": "ROWS"})
    kubernetes.use_field_path_as_env(task, "POD", "metadata.name")
    kubernetes.add_node_selector_json(task, selector)
    kubernetes.add_toleration_json(task, tolerations)
    kubernetes.add_toleration(task, key="gpu", operator="Equal", value="yes", effect="NoExecute", toleration_seconds=30)
    kubernetes.add_node_affinity(
        task, match_expressions=[{"key": "disk", "operator": "In", "values": ["ssd"]}], weight=5
    )
    kubernetes.add_node_affinity(task, match_expressions=[{"key": "zone", "operator": "Exists"}])
    kubernetes.set_image_pull_secrets(task, [name, "other"])


@dsl.pipeline
def sized(name: str = "n"):
    task = tell(name=name, selector={}, tolerations=[])
    _sized(task)
    kubernetes.mount_pvc(task, pvc_name=name, mount_path="/data", sub_path="s")


@dsl.container_component
def write(words: dsl.Output[dsl.Dataset], count: dsl.OutputPath(int)):
    return dsl.ContainerSpec(
        image="alpine:3",
        command=["sh", "-c", 'echo "$KEY" > "$0"; echo 1 > "$1"; echo written'],
        args=[words.path, count],
    )


@dsl.container_component
def read(words: dsl.Input[dsl.Dataset], mode: str, said: dsl.OutputPath(str)):
    return dsl.ContainerSpec(
        image="alpine:3",
        command=["sh", "-c", 'test "$1" = fail && exit 3; test "$1" = sleep && sleep 60; cat "$0" > "$2"'],
        args=[words.path, mode, said],
    )


@dsl.pipeline
def staged(mode: str = "read"):
    words = write()
    kubernetes.use_secret_as_env(words, "warehouse", {"password": "KEY"})
    read(words=words.outputs["words"], mode=mode)
