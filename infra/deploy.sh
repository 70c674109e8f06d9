#!/usr/bin/env bash
# Deploys a template as a stack: shows where and each change first, and asks. STACK TEMPLATE [KEY=VALUE…]
set -euo pipefail
stack=$1 template=$2
shift 2
export AWS_PAGER= # all of it at once, and the question after it

account=$(aws sts get-caller-identity --query Account --output text)
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[ -n "$region" ] || { echo "no Region: set AWS_REGION, or one in the AWS CLI's configuration" >&2; exit 1; }

echo "Stack $stack in account $account, $region, from $template${*:+ with $*}:"
said=$(aws cloudformation deploy --stack-name "$stack" --template-file "$template" \
  --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-execute-changeset --no-fail-on-empty-changeset \
  ${CODE_BUCKET:+--s3-bucket "$CODE_BUCKET" --s3-prefix tagship} ${*:+--parameter-overrides "$@"})
changes=$(grep -o 'arn:[^ ]*:changeSet/[^ ]*' <<<"$said") || { echo "$said" && exit 0; }
aws cloudformation describe-change-set --change-set-name "$changes" --output table \
  --query 'Changes[].ResourceChange.[Action, Replacement, ResourceType, LogicalResourceId]'
stack() { aws cloudformation describe-stacks --stack-name "$stack" --query "Stacks[0].$1" --output "$2"; }
if [ "$(stack StackStatus text)" = REVIEW_IN_PROGRESS ]; then made=create; else made=update; fi

read -r -p "Do it? [y/N] " answer || echo # nobody to ask is a no
if [ "$answer" = y ]; then
  aws cloudformation execute-change-set --change-set-name "$changes"
  aws cloudformation wait "stack-$made-complete" --stack-name "$stack" || {
    echo "The $made failed, and CloudFormation takes it back; newest first:" >&2
    aws cloudformation describe-stack-events --stack-name "$stack" --output table >&2 \
      --query 'StackEvents[?contains(ResourceStatus, `FAILED`)].[LogicalResourceId, ResourceStatusReason]'
    exit 1
  }
  stack 'Outputs[].[OutputKey, OutputValue]' table
elif [ $made = create ]; then
  aws cloudformation delete-stack --stack-name "$stack" # it has nothing in it
else
  aws cloudformation delete-change-set --change-set-name "$changes"
fi
