"""What moto's CloudFormation lacks of infra/pipeline.yaml; and the stacks, for the services that aren't moto's.

A pipeline, an application and a deployment group are but names here. What they do, the local cloud reads from the stack's
template: GET /tagship/stacks.
"""

from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet, Stack, cloudformation_backends
from moto.core.common_models import CloudFormationModel
from moto.s3.models import FakeBucket, s3_backends

_moto_clean_json = parsing.clean_json
_moto_update = parsing.parse_and_update_resource
_moto_apply = ChangeSet.apply
_moto_diff = ChangeSet.diff
_moto_bucket = FakeBucket.create_from_cloudformation_json.__func__


class Named:
    """A resource that has a name here and nothing else."""

    kind = name_property = ""

    def __init__(self, name: str) -> None:
        self.physical_resource_id = name

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.name_property

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, _json, _account, _region, **_more):
        return cls(resource_name)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        return cls(cloudformation_json["Properties"].get(cls.name_property, original_resource.physical_resource_id))

    @classmethod
    def delete_from_cloudformation_json(cls, *_deleted) -> None:
        """There is nothing but the stack's own entry."""

    def is_created(self) -> bool:
        return True


# moto knows its models by their being direct subclasses of this one.
class Pipeline(Named, CloudFormationModel):
    kind, name_property = "AWS::CodePipeline::Pipeline", "Name"


class Application(Named, CloudFormationModel):
    kind, name_property = "AWS::CodeDeploy::Application", "ApplicationName"


class DeploymentGroup(Named, CloudFormationModel):
    kind, name_property = "AWS::CodeDeploy::DeploymentGroup", "DeploymentGroupName"


def _clean_json(resource_json, resources_map):
    """As moto's; what is AWS::NoValue isn't in a list either."""
    cleaned = _moto_clean_json(resource_json, resources_map)
    return [entry for entry in cleaned if entry is not None] if isinstance(resource_json, list) else cleaned


def _update(logical_id, resource_json, resources_map, account_id, region_name):
    """As moto's, which forgets what it can't update, and expects what a condition has left out until now."""
    condition = resource_json.get("Condition")
    if condition and not resources_map.lazy_condition_map[condition]:
        return None
    there = resources_map._parsed_resources.get(logical_id)
    update = _moto_update if there else parsing.parse_and_create_resource
    return update(logical_id, resource_json, resources_map, account_id, region_name) or there


def _given(self: Stack) -> dict[str, str]:
    """The parameters as texts, as they were given: an update that keeps them splits the lists anew."""
    parameters = self.resource_map.resolved_parameters.items()
    return {key: ",".join(value) if isinstance(value, list) else str(value) for key, value in parameters}


def _diff(self: ChangeSet) -> list:
    """As moto's; what a condition leaves out isn't added."""
    of = self.stack
    then = parsing.ResourceMap(
        of.stack_id,
        of.name,
        self.parameters,
        {},
        of.region_name,
        of.account_id,
        self.template_dict,
        of.cross_stack_resources,
    )
    then.load()

    def holds(change) -> bool:
        condition = self.template_dict["Resources"].get(change.logical_resource_id, {}).get("Condition")
        return not condition or then.lazy_condition_map[condition]

    return [change for change in _moto_diff(self) if change.action != "Add" or holds(change)]


def _apply(self: ChangeSet) -> None:
    """As moto's; the stack has the change set's parameters and outputs then."""
    _moto_apply(self)
    self.stack.template, self.stack.parameters = self.template, self.parameters
    self.stack._parse_template()
    self.stack.output_map = self.stack._create_output_map()


def _bucket(cls, resource_name, cloudformation_json, account_id, region_name, **more):
    """As moto's; versioned if the template says so."""
    bucket = _moto_bucket(cls, resource_name, cloudformation_json, account_id, region_name, **more)
    versioning = cloudformation_json.get("Properties", {}).get("VersioningConfiguration")
    if versioning:
        s3_backends[account_id]["aws"].put_bucket_versioning(resource_name, versioning["Status"])
    return bucket


def stacks() -> list[dict]:
    """Each stack that is there: its name, its template's text, and the parameters that were given."""
    found = [
        stack
        for account in list(cloudformation_backends.values())
        for backend in list(account.values())
        for stack in list(backend.stacks.values())
    ]
    return [
        {"name": stack.name, "template": stack.template, "parameters": {k: str(v) for k, v in stack.parameters.items()}}
        for stack in found
        if stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    ]


def install() -> None:
    """Puts this module's behaviour in place of moto's."""
    parsing.clean_json = _clean_json
    parsing.parse_and_update_resource = _update
    ChangeSet.apply, ChangeSet.diff = _apply, _diff
    Stack.stack_parameters = property(_given)
    FakeBucket.create_from_cloudformation_json = classmethod(_bucket)
